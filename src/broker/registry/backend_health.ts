/** For how long a connector is avoided after it could not reach a backend, milliseconds: doubled with each failure. */
const FIRST_MS = 5_000;
const LONGEST_MS = 60_000;
/** What a connector says counts for this long, milliseconds; it says so again every 20 s. */
const REPORT_COUNTS_MS = 60_000;
/** What nobody has spoken of for so long is forgotten, failures that make the next time longer included, milliseconds. */
const FORGET_MS = 2 * LONGEST_MS;

/** Stands for all apps: what no app of a connector can be served without. */
const ALL_APPS = "";

interface Unwell {
  readonly appId: string;
  readonly connectorId: string;
  /** Last time that something was said of it. */
  at: number;
  /** Avoided until then. */
  until: number;
  failures: number;
  /** The connector itself says so. */
  isReported: boolean;
}

/**
 * Which connectors cannot reach the backend of which app: learnt from exchanges that failed, and from what connectors
 * report. Who is in here is chosen for this app only where nobody else can serve it.
 */
export class BackendHealth {
  /** By app, then by connector. */
  readonly #unwell = new Map<string, Map<string, Unwell>>();
  /** The same by connector. */
  readonly #ofConnector = new Map<string, Set<Unwell>>();
  /** All of them, that of which nothing was said for longest first. */
  readonly #byAge = new Set<Unwell>();

  /** True when all is well, which is the common case and costs one look. */
  get isEmpty(): boolean {
    return this.#unwell.size === 0;
  }

  /** Pairs of app and connector of which something is kept. */
  get size(): number {
    return this.#byAge.size;
  }

  /** An exchange has found the backend out of reach. */
  failed(appId: string, connectorId: string, now: number): void {
    const unwell = this.#of(appId, connectorId, now);
    unwell.isReported &&= unwell.until > now;
    unwell.failures += 1;
    unwell.until = Math.max(unwell.until, now + Math.min(LONGEST_MS, FIRST_MS * 2 ** (unwell.failures - 1)));
  }

  /** A connector's host has run out of what every connection needs: it is avoided for all apps. */
  exhausted(connectorId: string, now: number): void {
    // Many exchanges at once find out: that is one failure.
    if (!this.#isAvoided(ALL_APPS, connectorId, now)) this.failed(ALL_APPS, connectorId, now);
  }

  /** An exchange has been answered by the backend. */
  answered(appId: string, connectorId: string, now: number): void {
    // Not before its time: what is answered meanwhile is on connections that the connector had before.
    if (!this.#isAvoided(ALL_APPS, connectorId, now)) this.#drop(this.#known(ALL_APPS, connectorId));
    const unwell = this.#known(appId, connectorId);
    if (unwell !== undefined && !(unwell.isReported && unwell.until > now)) this.#drop(unwell);
  }

  /** What a connector says of its backend: when that changes, and while it is out of reach again and again. True: that is news. */
  reported(appId: string, connectorId: string, isUp: boolean, now: number): boolean {
    const known = this.#known(appId, connectorId);
    const wasReported = known?.isReported === true && known.until > now;
    if (isUp) this.#drop(known);
    else {
      const unwell = this.#of(appId, connectorId, now);
      unwell.until = now + REPORT_COUNTS_MS;
      unwell.failures = 1;
      unwell.isReported = true;
    }
    return isUp === wasReported;
  }

  /** The connector has no tunnel any more: what it said counts no longer. */
  forget(connectorId: string): void {
    for (const unwell of this.#ofConnector.get(connectorId) ?? []) this.#drop(unwell);
  }

  /** Call now and then: forgets that of which nothing was said for two minutes. */
  sweep(now: number): void {
    for (const unwell of this.#byAge) {
      if (now - unwell.at < FORGET_MS) return;
      this.#drop(unwell);
    }
  }

  /** True while the connector is to be avoided for the app. */
  isUnwell(appId: string, connectorId: string, now: number): boolean {
    return this.#isAvoided(appId, connectorId, now) || this.#isAvoided(ALL_APPS, connectorId, now);
  }

  /** Apps that a connector cannot serve now; in a time that grows with what is kept of this connector. */
  unwellAppsOf(connectorId: string, now: number): string[] {
    const apps: string[] = [];
    for (const { appId, until } of this.#ofConnector.get(connectorId) ?? []) {
      if (appId !== ALL_APPS && until > now) apps.push(appId);
    }
    return apps;
  }

  #isAvoided(appId: string, connectorId: string, now: number): boolean {
    const until = this.#known(appId, connectorId)?.until;
    return until !== undefined && until > now;
  }

  #known(appId: string, connectorId: string): Unwell | undefined {
    return this.#unwell.get(appId)?.get(connectorId);
  }

  /** What is kept of the two, from now on if nothing was; it is the youngest then. */
  #of(appId: string, connectorId: string, now: number): Unwell {
    let unwell = this.#known(appId, connectorId);
    if (unwell === undefined) {
      unwell = { appId, connectorId, at: now, until: 0, failures: 0, isReported: false };
      let app = this.#unwell.get(appId);
      if (app === undefined) this.#unwell.set(appId, app = new Map());
      app.set(connectorId, unwell);
      let own = this.#ofConnector.get(connectorId);
      if (own === undefined) this.#ofConnector.set(connectorId, own = new Set());
      own.add(unwell);
    } else this.#byAge.delete(unwell);
    this.#byAge.add(unwell);
    unwell.at = now;
    return unwell;
  }

  #drop(unwell: Unwell | undefined): void {
    if (unwell === undefined || !this.#byAge.delete(unwell)) return;
    const { appId, connectorId } = unwell;
    const app = this.#unwell.get(appId)!;
    app.delete(connectorId);
    if (app.size === 0) this.#unwell.delete(appId);
    const own = this.#ofConnector.get(connectorId)!;
    own.delete(unwell);
    if (own.size === 0) this.#ofConnector.delete(connectorId);
  }
}
