import { setImmediate as nextTurn } from "node:timers/promises";
import { reasonOf } from "../../platform/error.ts";
import type { Log } from "../../platform/log.ts";
import type { App } from "../model.ts";
import type { GroupApps } from "../store/group_apps.ts";
import type { Store } from "../store/port.ts";
import { readGroups, refreshGroup } from "./read_groups.ts";
import { buildRoutes, type MadeRoutes, type RouteTable } from "./routes.ts";
import { UnreadChanges } from "./unread_changes.ts";

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
/** What took longer counts as so much, in milliseconds: the process stood still, or the store did. */
const MOST_BUSY_MS = 1_000;
/** How often it is read again before a rebuild, where apps were moved meanwhile: moves must not put it off for ever. */
const MOST_ROUNDS = 8;

/**
 * Loads all apps, then of each group that changes what is new. The first change after a quiet time is taken up at
 * once; a burst of them is taken up together. While the store cannot be read the last good table stays.
 */
export async function createRouter(options: RouterOptions): Promise<Router> {
  const router = new StoreRouter(options);
  try {
    await router.load();
  } catch (error) {
    router.close();
    throw error;
  }
  return router;
}

type State =
  | { readonly kind: "reading" }
  | { readonly kind: "idle" }
  /** There are changes; the timer, which `#schedule` owns, is until they may be read. */
  | { readonly kind: "resting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "closed" };

class StoreRouter implements Router {
  readonly #options: Required<RouterOptions>;
  readonly #changes = new UnreadChanges();
  readonly #stop: () => void;
  readonly #made: MadeRoutes = new WeakMap();
  #groups: ReadonlyMap<string, GroupApps> = new Map();
  #table = buildRoutes([]);
  /** Problems of the table that the log has. */
  #reported = new Set<string>();
  /** When the next refresh may begin, and when where somebody waits for it. */
  #rest = { until: 0, untilAwaited: 0 };
  #state: State = { kind: "reading" };

  constructor(options: RouterOptions) {
    this.#options = { retryMs: 1_000, onRead: () => {}, now: () => performance.now(), ...options };
    // Listens before the first read: what changes while it goes on is read again.
    this.#stop = options.store.onChange((change) => {
      if (change.kind !== "apps") return;
      this.#changes.add(change.groupIds, { isMove: change.groupIds.length > 1 });
      this.#schedule();
    });
  }

  async load(): Promise<void> {
    const { groups, apps } = await readGroups(this.#options.store, this.#changes);
    this.#take(groups, apps);
    this.#state = { kind: "idle" };
    this.#schedule();
  }

  current(): RouteTable {
    return this.#table;
  }

  settled(): Promise<void> {
    const settled = this.#changes.settled();
    this.#schedule();
    return settled;
  }

  close(): void {
    if (this.#state.kind === "resting") clearTimeout(this.#state.timer);
    this.#state = { kind: "closed" };
    this.#stop();
    this.#changes.settle(Infinity);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #schedule(): void {
    const state = this.#state;
    if (state.kind === "closed" || state.kind === "reading" || this.#changes.isEmpty) return;
    if (state.kind === "resting") clearTimeout(state.timer);
    const { until, untilAwaited } = this.#rest;
    const restMs = (this.#changes.areAwaited ? untilAwaited : until) - this.#options.now();
    if (restMs <= 0) void this.#refresh();
    else this.#state = { kind: "resting", timer: setTimeout(() => void this.#refresh(), restMs) };
  }

  async #refresh(): Promise<void> {
    this.#state = { kind: "reading" };
    const { log, now, retryMs } = this.#options;
    const taken = new Set<string>();
    try {
      const { groups, apps, upTo, busyMs } = await this.#read(taken);
      if (this.#isClosed()) return;
      const started = now();
      this.#take(groups, apps);
      const ended = now();
      const busy = Math.min(busyMs + ended - started, MOST_BUSY_MS);
      this.#rest = {
        until: ended + REST_PER_BUSY * busy,
        untilAwaited: ended + REST_PER_BUSY_AWAITED * busy,
      };
      this.#changes.settle(upTo);
    } catch (error) {
      if (this.#isClosed()) return;
      this.#changes.putBack(taken);
      this.#rest = { until: now() + retryMs, untilAwaited: now() + retryMs };
      log.error("Routes not refreshed", { error: reasonOf(error) });
    }
    this.#state = { kind: "idle" };
    this.#schedule();
  }

  /**
   * Reads the groups that changed, and notes in `taken` which. Each is read as of another moment: an app that is moved
   * between two of these moments would be in both groups or in none, so after a move its groups are read again.
   */
  async #read(taken: Set<string>) {
    const { store, now } = this.#options;
    const groups = new Map(this.#groups);
    const apps: App[] = [];
    let busyMs = 0;
    for (let round = 1;; round++) {
      const started = now();
      const { groupIds, upTo } = this.#changes.take();
      for (const groupId of groupIds) taken.add(groupId);
      for (const groupId of groupIds) {
        // One by one: a group may have more apps than a call can have arguments.
        for (const app of await refreshGroup(store, groups, groupId)) apps.push(app);
      }
      busyMs += now() - started;
      await nextTurn(); // What was on disk as it was read has been told by then.
      if (!this.#changes.moved || round === MOST_ROUNDS) return { groups, apps, upTo, busyMs };
    }
  }

  /** Makes the table of these groups; `apps` are those that were read. */
  #take(groups: ReadonlyMap<string, GroupApps>, apps: readonly App[]): void {
    const { log, onRead } = this.#options;
    this.#groups = groups;
    this.#table = buildRoutes(
      [...groups.values()].flatMap(({ apps }) => [...apps.values()]),
      this.#made,
      this.#table,
    );
    const problems = new Map(this.#table.problems.map((problem) => [JSON.stringify(problem), problem]));
    for (const [key, problem] of problems) {
      if (!this.#reported.has(key)) log.warn("External URL not served", { ...problem });
    }
    this.#reported = new Set(problems.keys());
    onRead(apps);
  }

  #isClosed(): boolean {
    return this.#state.kind === "closed";
  }
}
