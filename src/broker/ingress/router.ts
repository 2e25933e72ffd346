import type { Log } from "../../platform/log.ts";
import type { App } from "../model.ts";
import type { Store } from "../store/port.ts";
import { buildRoutes, type RouteTable } from "./routes.ts";

/** What of the store a router reads. */
export type RouterStore = Pick<Store, "listApps" | "onChange">;

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
  /** Told of the apps that were read: all at the start, then those of the groups that changed. */
  readonly onRead?: (apps: readonly App[]) => void;
}

const PAGE = 1_000;
/** At most this part of the time goes into rebuilding: after one that took 20 ms the next waits for 80 ms. */
const REST_PER_BUSY = 4;

/**
 * Loads all apps and follows the store's changes, group by group. The first change after a quiet time is taken up at
 * once; a burst of them is taken up together. While the store cannot be read the last good table stays.
 */
export async function createRouter(
  { store, log, retryMs = 1_000, onRead = () => {} }: RouterOptions,
): Promise<Router> {
  let appsByGroup = new Map<string, App[]>();
  let table = buildRoutes([]);
  let changed = new Set<string>();
  /** Changes heard of so far, and who waits until how many of them were taken up. */
  let heard = 0;
  let waiters: { heard: number; resolve: () => void }[] = [];
  let reported = new Set<string>();
  let running = true;
  let timer: NodeJS.Timeout | undefined;
  let restUntil = 0;
  let closed = false;

  const rebuild = () => {
    table = buildRoutes([...appsByGroup.values()].flat());
    const problems = new Map(table.problems.map((problem) => [JSON.stringify(problem), problem]));
    for (const [key, problem] of problems) {
      if (!reported.has(key)) log.warn("External URL not served", { ...problem });
    }
    reported = new Set(problems.keys());
  };
  const release = (until: number) => {
    for (const waiter of waiters) if (waiter.heard <= until) waiter.resolve();
    waiters = waiters.filter((waiter) => waiter.heard > until);
  };
  const refresh = async () => {
    const groups = changed;
    const upTo = heard;
    changed = new Set();
    const started = performance.now();
    try {
      const fresh = new Map(appsByGroup);
      for (const groupId of groups) fresh.set(groupId, await readApps(store, groupId));
      if (closed) return;
      appsByGroup = fresh;
      rebuild();
      for (const groupId of groups) onRead(fresh.get(groupId)!);
      restUntil = performance.now() + REST_PER_BUSY * (performance.now() - started);
      release(upTo);
    } catch (error) {
      for (const groupId of groups) changed.add(groupId);
      restUntil = performance.now() + retryMs;
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
    if (closed || running || timer !== undefined || changed.size === 0) return;
    const restMs = restUntil - performance.now();
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
    schedule();
  });
  try {
    appsByGroup = byGroup(await readApps(store));
  } catch (error) {
    close();
    throw error;
  }
  rebuild();
  for (const apps of appsByGroup.values()) onRead(apps);
  running = false;
  schedule();

  return {
    current: () => table,
    settled() {
      if (closed || (changed.size === 0 && !running)) return Promise.resolve();
      return new Promise((resolve) => waiters.push({ heard, resolve }));
    },
    close,
    [Symbol.dispose]: close,
  };
}

function byGroup(apps: readonly App[]): Map<string, App[]> {
  const groups = new Map<string, App[]>();
  for (const app of apps) {
    const group = groups.get(app.groupId);
    if (group === undefined) groups.set(app.groupId, [app]);
    else group.push(app);
  }
  return groups;
}

async function readApps(store: RouterStore, groupId?: string): Promise<App[]> {
  const apps: App[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.listApps({
      limit: PAGE,
      ...(groupId === undefined ? {} : { groupId }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    apps.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return apps;
}
