import type { ConnectorApp } from "../protocol/app.ts";
import { parseConfigPart } from "../protocol/messages.ts";
import type { ControlChannel, Fields } from "../tunnel/control_channel.ts";

/** Time for each part of an answer, milliseconds. */
const PART_TIMEOUT_MS = 20_000;
/** Apps and removals of one answer beyond this many are a lie. */
const MOST_CHANGES = 1_000_000;
/** A pull on another tunnel is waited for so long, milliseconds: that tunnel may have fallen silent. */
const PATIENCE_MS = 1_000;

/** What the last pull has changed. */
export interface Applied {
  revision: number;
  /** Apps that are gone or were changed: what was kept for them is out of date. */
  outdated: string[];
}

/** The apps of this connector's group, by revision. Changes of one pull become visible all at once. */
export class KnownApps {
  #apps = new Map<string, ConnectorApp>();
  #groupId = "";
  #revision = 0;
  #running: { promise: Promise<Applied> | null; control: ControlChannel } | null = null;
  /** The next pull of each tunnel: that of one tunnel would fail with it. */
  readonly #next = new Map<ControlChannel, Promise<Applied>>();

  get revision(): number {
    return this.#revision;
  }

  get groupId(): string {
    return this.#groupId;
  }

  get size(): number {
    return this.#apps.size;
  }

  /** The app, if this connector may serve it. */
  get(id: string): ConnectorApp | undefined {
    return this.#apps.get(id);
  }

  /** All apps, for display. */
  all(): IterableIterator<ConnectorApp> {
    return this.#apps.values();
  }

  /**
   * Asks for what has changed and applies it. One pull runs at a time; who comes during one waits for the tunnel's
   * next, which serves all of them: what changed after the running one was answered is not missed.
   */
  pull(control: ControlChannel): Promise<Applied> {
    const running = this.#running;
    if (running === null) return this.#begin(control);
    let next = this.#next.get(control);
    if (next === undefined) {
      const over = running.promise!.then(() => {}, () => {});
      const turn = running.control === control ? over : within(PATIENCE_MS, over);
      next = turn.then(() => {
        this.#next.delete(control);
        if (this.#running === running) this.#running = null; // What it still brings is not used.
        return this.pull(control);
      });
      this.#next.set(control, next);
    }
    return next;
  }

  #begin(control: ControlChannel): Promise<Applied> {
    const turn: { promise: Promise<Applied> | null; control: ControlChannel } = { promise: null, control };
    this.#running = turn;
    const isCurrent = (): boolean => this.#running === turn;
    turn.promise = this.#pull(control, isCurrent).finally(() => {
      if (isCurrent()) this.#running = null;
    });
    return turn.promise;
  }

  async #pull(control: ControlChannel, isCurrent: () => boolean): Promise<Applied> {
    const upserts: ConnectorApp[] = [];
    const removedIds: string[] = [];
    const collect = (fields: Fields) => {
      const part = parseConfigPart(fields);
      if (upserts.length + part.apps.length + removedIds.length + part.removedIds.length > MOST_CHANGES) {
        throw new RangeError("Configuration has more apps than can be true");
      }
      upserts.push(...part.apps);
      removedIds.push(...part.removedIds);
      return part;
    };
    const asked = { groupId: this.#groupId, since: this.#revision };
    const last = await control.request("config.pull", asked, PART_TIMEOUT_MS, collect);
    if (last.unchanged === true || !isCurrent()) return { revision: this.#revision, outdated: [] };
    const { full, groupId, revision } = collect(last);
    const outdated: string[] = [];
    const apps = new Map(full ? [] : this.#apps);
    for (const id of removedIds) if (apps.delete(id)) outdated.push(id);
    for (const app of upserts) {
      if (this.#apps.get(app.id)?.revision !== app.revision) outdated.push(app.id);
      apps.set(app.id, app);
    }
    if (full) { for (const id of this.#apps.keys()) if (!apps.has(id)) outdated.push(id); }
    this.#apps = apps;
    this.#groupId = groupId;
    this.#revision = revision;
    return { revision, outdated };
  }
}

/** Resolves with the promise, or after so many milliseconds. */
function within(ms: number, promise: Promise<void>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    void promise.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
