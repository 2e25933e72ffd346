import { jittered } from "../platform/backoff.ts";
import type { Log, LogFields } from "../platform/log.ts";
import type { ConnectorApp } from "../protocol/app.ts";

/** What looking after backends needs. */
export interface BackendHealthOptions {
  /** The app as it is known now. */
  app: (id: string) => ConnectorApp | undefined;
  /** Looks once; null when all is well, else why not. */
  check: (app: ConnectorApp, signal: AbortSignal) => Promise<string | null>;
  /** Tells every broker that this connector reaches the app's backend, or does not. */
  tell: (appId: string, isUp: boolean) => void;
  log: Log;
  /** From 0 to 1. */
  random?: () => number;
}

/** An app whose backend is out of reach of this connector, and why. */
export interface OutOfReach {
  app: string;
  reason: string;
}

/** One app that is looked at again and again: it has a health check, or an exchange could not reach its backend. */
interface Watch {
  readonly appId: string;
  state: "up" | "down";
  reason: string;
  /** Checks in a row that said otherwise than `state`. */
  otherwise: number;
  /** Checks since it went down. */
  checks: number;
  timer: NodeJS.Timeout | null;
  running: AbortController | null;
}

/** Between checks of a backend that is out of reach, milliseconds: at first, by which factor longer each time, at most. */
const FIRST_MS = 2_000;
const GROWTH = 1.5;
const LONGEST_MS = 15_000;
/** Checks come up to this share earlier or later. */
const JITTER = 0.2;
/** The first check of an app comes within this time, milliseconds. */
const BEGIN_WITHIN_MS = 1_000;
/** Checks that run at the same time; the others wait for their turn. */
const MOST_AT_ONCE = 32;
/** What is out of reach is said again after so many milliseconds: a broker may have forgotten it meanwhile. */
const TELL_AGAIN_MS = 20_000;

/** Ways in which this connector cannot reach a backend, where another one may. */
const OUT_OF_REACH: ReadonlySet<string> = new Set([
  "backend_not_allowed",
  "backend_dns_failed",
  "backend_refused",
  "backend_unreachable",
  "backend_connect_timeout",
  "backend_connect_failed",
  "backend_misconfigured",
]);
/** Ends of a check that say nothing of the backend. */
const SAYS_NOTHING: ReadonlySet<string> = new Set(["backend_busy", "backend_closed", "connector_exhausted"]);

/**
 * Knows which backends this connector cannot reach: from exchanges that could not connect, and from the health checks of
 * apps. Looks again by itself until all is well, and tells brokers of each change, so that they choose another connector.
 */
export class BackendHealth implements Disposable {
  readonly #options: BackendHealthOptions;
  readonly #random: () => number;
  readonly #watches = new Map<string, Watch>();
  /** Whose turn has come while too many run. */
  #queue: Watch[] = [];
  #running = 0;
  #tellAgain: NodeJS.Timeout | null = null;
  /** When it was last said that this host has run out of something. */
  #exhaustedAt = Number.NEGATIVE_INFINITY;

  constructor(options: BackendHealthOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  /** What is out of reach now. */
  get outOfReach(): OutOfReach[] {
    const down: OutOfReach[] = [];
    for (const { appId, state, reason } of this.#watches.values()) {
      if (state === "down") down.push({ app: appId, reason });
    }
    return down;
  }

  /** An exchange has failed with this code; most say nothing of whether the backend can be reached. */
  failed(appId: string, code: string): void {
    if (code === "connector_exhausted") return this.#exhausted();
    if (!OUT_OF_REACH.has(code) && !code.startsWith("backend_tls_")) return;
    if (this.#options.app(appId) === undefined) return;
    const watch = this.#watches.get(appId) ?? this.#watch(appId);
    if (watch.state === "down") return;
    watch.running?.abort(); // It has begun before this was known.
    this.#down(watch, code);
    this.#later(watch);
  }

  /** That is no backend's fault: brokers learn of it by the exchanges, people by the log. */
  #exhausted(): void {
    const now = performance.now();
    if (now - this.#exhaustedAt < TELL_AGAIN_MS) return;
    this.#exhaustedAt = now;
    this.#options.log.warn("this host has no descriptors, memory or ports left for connections to backends", {
      code: "connector_exhausted",
    });
  }

  /** These apps are new, were changed or are gone: what was known of them does not count any more. */
  changed(appIds: readonly string[]): void {
    for (const id of appIds) {
      const known = this.#watches.get(id);
      if (known !== undefined) this.#forget(known);
      if (known?.state === "down") this.#options.tell(id, true);
      const check = this.#options.app(id)?.healthCheck ?? null;
      if (check === null) continue;
      const watch = this.#watch(id);
      this.#after(watch, this.#random() * Math.min(BEGIN_WITHIN_MS, check.intervalMs));
    }
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    for (const watch of [...this.#watches.values()]) this.#forget(watch);
  }

  #watch(appId: string): Watch {
    const watch: Watch = {
      appId,
      state: "up",
      reason: "",
      otherwise: 0,
      checks: 0,
      timer: null,
      running: null,
    };
    this.#watches.set(appId, watch);
    return watch;
  }

  #forget(watch: Watch): void {
    this.#watches.delete(watch.appId);
    if (watch.timer !== null) clearTimeout(watch.timer);
    watch.timer = null;
    watch.running?.abort();
    this.#queue = this.#queue.filter((queued) => queued !== watch);
    this.#settleTelling();
  }

  #later(watch: Watch): void {
    const check = this.#options.app(watch.appId)?.healthCheck ?? null;
    const again = Math.min(LONGEST_MS, FIRST_MS * GROWTH ** watch.checks);
    const ms = watch.state === "down"
      ? Math.min(again, check?.intervalMs ?? again)
      : check?.intervalMs ?? again;
    this.#after(watch, jittered(ms, JITTER, this.#random));
  }

  #after(watch: Watch, ms: number): void {
    if (watch.timer !== null) clearTimeout(watch.timer);
    watch.timer = setTimeout(() => {
      watch.timer = null;
      if (this.#running < MOST_AT_ONCE) void this.#look(watch);
      else if (!this.#queue.includes(watch)) this.#queue.push(watch);
    }, ms);
  }

  async #look(watch: Watch): Promise<void> {
    const app = this.#options.app(watch.appId);
    if (app === undefined) return this.#forget(watch);
    const running = new AbortController();
    watch.running = running;
    this.#running += 1;
    let reason: string | null;
    try {
      reason = await this.#options.check(app, running.signal);
    } catch (error) {
      this.#options.log.error("cannot check backend", { app: app.id, error: String(error) });
      reason = "backend_closed";
    }
    this.#running -= 1;
    if (watch.running === running) watch.running = null;
    const next = this.#queue.shift();
    if (next !== undefined) void this.#look(next);
    if (running.signal.aborted || this.#watches.get(watch.appId) !== watch) return;
    this.#found(watch, app, reason);
  }

  #found(watch: Watch, { healthCheck }: ConnectorApp, reason: string | null): void {
    watch.checks += 1;
    if (reason === null || !SAYS_NOTHING.has(reason)) {
      const isOtherwise = (reason === null) !== (watch.state === "up");
      watch.otherwise = isOtherwise ? watch.otherwise + 1 : 0;
      if (watch.state === "down" && reason !== null) watch.reason = reason;
    }
    if (watch.state === "down" && watch.otherwise >= (healthCheck?.healthyAfter ?? 1)) this.#up(watch);
    else if (watch.state === "up" && watch.otherwise >= (healthCheck?.unhealthyAfter ?? 1)) {
      this.#down(watch, reason!);
    }
    if (watch.state === "up" && healthCheck === null) this.#forget(watch);
    else this.#later(watch);
  }

  /** A connector knows no names of apps; where the backend is, says more than an id. */
  #factsOf({ appId }: Watch): LogFields {
    return { app: appId, backend: this.#options.app(appId)?.origin };
  }

  #down(watch: Watch, reason: string): void {
    watch.state = "down";
    watch.reason = reason;
    watch.otherwise = 0;
    watch.checks = 0;
    this.#options.log.warn("backend is out of reach", { ...this.#factsOf(watch), reason });
    this.#options.tell(watch.appId, false);
    this.#settleTelling();
  }

  #up(watch: Watch): void {
    watch.state = "up";
    watch.reason = "";
    watch.otherwise = 0;
    this.#options.log.info("backend is within reach again", this.#factsOf(watch));
    this.#options.tell(watch.appId, true);
    this.#settleTelling();
  }

  /** The timer runs while there is something to tell again. */
  #settleTelling(): void {
    const isNeeded = this.outOfReach.length > 0;
    if (isNeeded) {
      this.#tellAgain ??= setInterval(() => {
        for (const { app } of this.outOfReach) this.#options.tell(app, false);
      }, TELL_AGAIN_MS);
    } else if (this.#tellAgain !== null) {
      clearInterval(this.#tellAgain);
      this.#tellAgain = null;
    }
  }
}
