import { setImmediate as nextTurn } from "node:timers/promises";
import type { Log } from "../../platform/log.ts";
import type { App } from "../model.ts";
import type { GroupApps } from "../store/group_apps.ts";
import type { Store } from "../store/port.ts";
import { readGroups, refreshGroup } from "./read_groups.ts";
import { buildRoutes, type MadeRoutes, type RouteTable } from "./routes.ts";

/** What of the store a router reads. */
export type RouterStore = Pick<Store, "listApps" | "appChanges" | "onChange">;

/** Keeps the route table equal to the store. */
export interface Router extends Disposable {
  /** The table as of now: take it once per request. */
  current(): RouteTable;
  /** Resolves when every change that the store told before this call is in the table, or the router is closed. */
  settled(): Promise<void>;
  /** Stops following the store. */
  close(): void;
}

/** Settings of a router, in milliseconds. */
export interface RouterOptions {
  readonly store: RouterStore;
  readonly log: Log;
  /** Time until another try after the store could not be read. */
  readonly retryMs?: number;
  /** Told of the apps that were read: all at the start, then those that changed. */
  readonly onRead?: (apps: readonly App[]) => void;
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number;
}

/** A fifth of the time, at most, goes into rebuilding: after one that took 20 ms the next waits for 80 ms. */
const REST_PER_BUSY = 4;
/** While somebody waits for a change it is half of the time: requests of users still have the other one. */
const REST_PER_BUSY_AWAITED = 1;
/** How often it is read again before a rebuild, where apps were moved meanwhile: moves must not put it off for ever. */
const MOST_ROUNDS = 8;

/**
 * Loads all apps, then of each group that changes what is new. The first change after a quiet time is taken up at
 * once; a burst of them is taken up together. While the store cannot be read the last good table stays.
 */
export async function createRouter(
  { store, log, retryMs = 1_000, onRead = () => {}, now = () => performance.now() }: RouterOptions,
): Promise<Router> {
  let groups = new Map<string, GroupApps>();
  const made: MadeRoutes = new WeakMap();
  let table = buildRoutes([]);
  let changed = new Set<string>();
  /** Whether one of these changes was of several groups, which is what a move is. */
  let moved = false;
  /** Changes heard of so far, how many of them are in the table, and who waits until how many are. */
  let heard = 0;
  let takenUp = 0;
  let waiters: { heard: number; resolve: () => void }[] = [];
  let reported = new Set<string>();
  let running = true;
  let timer: NodeJS.Timeout | undefined;
  /** When the next refresh may begin, and when where somebody waits for it. */
  let rest = { until: 0, untilAwaited: 0 };
  let closed = false;

  const rebuild = () => {
    table = buildRoutes([...groups.values()].flatMap(({ apps }) => [...apps.values()]), made, table);
    const problems = new Map(table.problems.map((problem) => [JSON.stringify(problem), problem]));
    for (const [key, problem] of problems) {
      if (!reported.has(key)) log.warn("External URL not served", { ...problem });
    }
    reported = new Set(problems.keys());
  };
  const release = (until: number) => {
    takenUp = until;
    for (const waiter of waiters) if (waiter.heard <= until) waiter.resolve();
    waiters = waiters.filter((waiter) => waiter.heard > until);
  };
  const refresh = async () => {
    const taken = new Set<string>();
    let upTo = heard;
    let busyMs = 0;
    try {
      const fresh = new Map(groups);
      const read: App[] = [];
      // Each group is read as of another moment. An app that is moved between two of these moments would be in both
      // groups or in none, so after a move its groups are read again.
      for (let round = 0; round === 0 || (moved && round < MOST_ROUNDS); round++) {
        const started = now();
        const again = changed;
        changed = new Set();
        moved = false;
        upTo = heard;
        for (const groupId of again) {
          taken.add(groupId);
          // One by one: a group may have more apps than a call can have arguments.
          for (const app of await refreshGroup(store, fresh, groupId)) read.push(app);
        }
        busyMs += now() - started;
        await nextTurn(); // What was on disk as it was read has been told by then.
      }
      if (closed) return;
      const started = now();
      groups = fresh;
      rebuild();
      onRead(read);
      const ended = now();
      busyMs += ended - started;
      rest = {
        until: ended + REST_PER_BUSY * busyMs,
        untilAwaited: ended + REST_PER_BUSY_AWAITED * busyMs,
      };
      release(upTo);
    } catch (error) {
      for (const groupId of taken) changed.add(groupId);
      rest = { until: now() + retryMs, untilAwaited: now() + retryMs };
      log.error("Routes not refreshed", { error: error instanceof Error ? error.message : String(error) });
    }
  };
  const start = async () => {
    timer = undefined;
    running = true;
    await refresh();
    running = false;
    schedule();
  };
  const schedule = () => {
    if (closed || running || changed.size === 0) return;
    clearTimeout(timer);
    const restMs = (waiters.length > 0 ? rest.untilAwaited : rest.until) - now();
    if (restMs <= 0) void start();
    else timer = setTimeout(start, restMs);
  };
  const close = () => {
    closed = true;
    clearTimeout(timer);
    timer = undefined;
    stop();
    release(Infinity);
  };

  // Listens before the first read: what changes while it goes on is read again.
  const stop = store.onChange((change) => {
    if (change.kind !== "apps") return;
    heard++;
    for (const groupId of change.groupIds) changed.add(groupId);
    if (change.groupIds.length > 1) moved = true;
    schedule();
  });
  try {
    const read = await readGroups(store, changed);
    groups = read.groups;
    rebuild();
    onRead(read.apps);
  } catch (error) {
    close();
    throw error;
  }
  running = false;
  schedule();

  return {
    current: () => table,
    settled() {
      if (closed || takenUp === heard) return Promise.resolve();
      return new Promise((resolve) => {
        waiters.push({ heard, resolve });
        schedule();
      });
    },
    close,
    [Symbol.dispose]: close,
  };
}
