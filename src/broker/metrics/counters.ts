import type { EndCause } from "./end_causes.ts";
import type { TurnedAwayCause } from "./turned_away_causes.ts";

/** Upper bounds of the exchange duration histogram, in milliseconds. */
export const DURATION_BOUNDS_MS: readonly number[] = [
  1,
  2,
  5,
  10,
  25,
  50,
  100,
  250,
  500,
  1_000,
  2_500,
  5_000,
  10_000,
  30_000,
  60_000,
];

/** How many different error codes are told apart; those met later count as `other`. */
export const MAX_ERROR_CODES = 200;

/** The code that errors count under once {@linkcode MAX_ERROR_CODES} is reached. */
export const OTHER_CODE = "other";

/**
 * What the data plane counts: plain numbers, changed in place, read when `/metrics` is asked for. Nothing here
 * allocates per exchange. Totals only grow; fields named as gauges are set or moved both ways.
 */
export class DataPlaneCounters {
  /** Total: exchanges begun, whatever became of them. */
  exchangesStarted = 0;
  /** Totals by first digit of the status that the user got: index 1 to 5; 0 stands for "none was sent". */
  readonly exchangesByClass: Float64Array = new Float64Array(6);
  /** Total milliseconds of finished exchanges. */
  durationSumMs = 0;
  /** Finished exchanges by duration: one slot for each bound of {@linkcode DURATION_BOUNDS_MS}, one for the rest. */
  readonly durationSlots: Float64Array = new Float64Array(DURATION_BOUNDS_MS.length + 1);
  /** Totals: body bytes from users and to users. */
  bodyBytesIn = 0;
  bodyBytesOut = 0;

  /** Gauges: ready tunnels; lanes by what they do; requests that wait for a lane or a connector. */
  tunnelsConnected = 0;
  lanesIdle = 0;
  lanesBusy = 0;
  waitingRequests = 0;

  /** Total: requests that were sent again after they had failed on a tunnel. */
  retries = 0;

  /** Totals of lanes: opened by connectors, retired while idle, destroyed after an error. */
  lanesOpened = 0;
  lanesRetired = 0;
  lanesDestroyed = 0;

  /** Totals at the edges. */
  ingressConnections = 0;
  /** Totals of connections of users that the listeners ended or refused, by cause. */
  readonly connectionsEnded: Map<EndCause, number> = new Map();
  /** Totals of connections to the tunnel name that were not served, by cause. */
  readonly arrivalsTurnedAway: Map<TurnedAwayCause, number> = new Map();
  tlsHandshakeFailures = 0;
  logLinesLost = 0;
  /** Total of log lines about connectors that were left out because there were many of a kind. */
  logLinesWithheld = 0;
  configPulls = 0;
  storeFailures = 0;

  /** Gauge: connections of users. */
  ingressConnectionsOpen = 0;

  /** Totals of streams of connectors that were refused, and of tunnels that the broker ended, by code; codes are ours. */
  readonly tunnelRefusals: Map<string, number> = new Map();

  /** Totals of failures by error code. */
  readonly errorsByCode: Map<string, number> = new Map();

  /** An exchange begins: pair each call with one of {@linkcode finished}. */
  started(): void {
    this.exchangesStarted += 1;
  }

  /** An exchange has ended: the status sent to the user (0: none), its milliseconds and its body bytes. */
  finished(status: number, durationMs: number, bytesIn: number, bytesOut: number): void {
    const first = (status / 100) | 0;
    const byClass = first >= 1 && first <= 5 ? first : 0;
    this.exchangesByClass[byClass] = this.exchangesByClass[byClass]! + 1;
    this.bodyBytesIn += bytesIn;
    this.bodyBytesOut += bytesOut;
    this.durationSumMs += durationMs;
    let slot = 0;
    while (slot < DURATION_BOUNDS_MS.length && durationMs > DURATION_BOUNDS_MS[slot]!) slot += 1;
    this.durationSlots[slot] = this.durationSlots[slot]! + 1;
  }

  /** A listener ended or refused a connection of a user. */
  ended(cause: EndCause): void {
    this.connectionsEnded.set(cause, (this.connectionsEnded.get(cause) ?? 0) + 1);
  }

  /** A connection to the tunnel name was not served. */
  turnedAway(cause: TurnedAwayCause): void {
    this.arrivalsTurnedAway.set(cause, (this.arrivalsTurnedAway.get(cause) ?? 0) + 1);
  }

  /** A stream of a connector was refused, or its tunnel ended, with this code of `docs/errors.md`. */
  refusedTunnel(code: string): void {
    this.tunnelRefusals.set(code, (this.tunnelRefusals.get(code) ?? 0) + 1);
  }

  /** Something failed with this code of `docs/errors.md`. */
  failed(code: string): void {
    const count = this.errorsByCode.get(code);
    if (count !== undefined || this.errorsByCode.size < MAX_ERROR_CODES) {
      this.errorsByCode.set(code, (count ?? 0) + 1);
    } else {
      this.errorsByCode.set(OTHER_CODE, (this.errorsByCode.get(OTHER_CODE) ?? 0) + 1);
    }
  }

  /** Exchanges that have ended, with or without a status. */
  get exchangesFinished(): number {
    let total = 0;
    for (const count of this.exchangesByClass) total += count;
    return total;
  }
}
