/** For how long a connector is avoided after it could not reach a backend, milliseconds: doubled with each failure. */
const FIRST_MS = 5_000;
const LONGEST_MS = 60_000;
/** What a connector says counts for this long, milliseconds; it says so again every 20 s. */
const REPORT_COUNTS_MS = 60_000;

/** Stands for all apps: what no app of a connector can be served without. */
const ALL_APPS = "";

interface Unwell {
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
  readonly #unwell = new Map<string, Map<string, Unwell>>();

  /** True when all is well, which is the common case and costs one look. */
  get isEmpty(): boolean {
    return this.#unwell.size === 0;
  }

  /** An exchange has found the backend out of reach. */
  failed(appId: string, connectorId: string, now: number): void {
    const app = this.#of(appId);
    const known = app.get(connectorId);
    const failures = (known?.failures ?? 0) + 1;
    const until = now + Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
    app.set(connectorId, {
      until: Math.max(known?.until ?? 0, until),
      failures,
      isReported: known?.isReported ?? false,
    });
  }

  /** A connector's host has run out of what every connection needs: it is avoided for all apps. */
  exhausted(connectorId: string, now: number): void {
    // Many exchanges at once find out: that is one failure.
    if (!this.#isAvoided(ALL_APPS, connectorId, now)) this.failed(ALL_APPS, connectorId, now);
  }

  /** An exchange has been answered by the backend. */
  answered(appId: string, connectorId: string, now: number): void {
    // Not before its time: what is answered meanwhile is on connections that the connector had before.
    const all = this.#unwell.get(ALL_APPS);
    if (all !== undefined && !this.#isAvoided(ALL_APPS, connectorId, now)) {
      this.#drop(ALL_APPS, all, connectorId);
    }
    const app = this.#unwell.get(appId);
    if (app === undefined || app.get(connectorId)?.isReported) return;
    this.#drop(appId, app, connectorId);
  }

  /** What a connector says of its backend: when that changes, and while it is out of reach again and again. True: that is news. */
  reported(appId: string, connectorId: string, isUp: boolean, now: number): boolean {
    const app = this.#of(appId);
    const wasReported = app.get(connectorId)?.isReported === true;
    if (isUp) this.#drop(appId, app, connectorId);
    else app.set(connectorId, { until: now + REPORT_COUNTS_MS, failures: 1, isReported: true });
    return isUp === wasReported;
  }

  /** The connector has no tunnel any more: what it said counts no longer. */
  forget(connectorId: string): void {
    for (const [appId, app] of this.#unwell) this.#drop(appId, app, connectorId);
  }

  /** True while the connector is to be avoided for the app. */
  isUnwell(appId: string, connectorId: string, now: number): boolean {
    return this.#isAvoided(appId, connectorId, now) || this.#isAvoided(ALL_APPS, connectorId, now);
  }

  /** Apps that a connector cannot serve now. */
  unwellAppsOf(connectorId: string, now: number): string[] {
    return [...this.#unwell.keys()].filter((appId) => {
      return appId !== ALL_APPS && this.#isAvoided(appId, connectorId, now);
    });
  }

  #isAvoided(appId: string, connectorId: string, now: number): boolean {
    const until = this.#unwell.get(appId)?.get(connectorId)?.until;
    return until !== undefined && until > now;
  }

  #of(appId: string): Map<string, Unwell> {
    let app = this.#unwell.get(appId);
    if (app === undefined) this.#unwell.set(appId, app = new Map());
    return app;
  }

  #drop(appId: string, app: Map<string, Unwell>, connectorId: string): void {
    app.delete(connectorId);
    if (app.size === 0) this.#unwell.delete(appId);
  }
}
