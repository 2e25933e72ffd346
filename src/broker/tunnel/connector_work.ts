import { performance } from "node:perf_hooks";
import { type AllowanceRate, Allowances } from "./allowances.ts";
import { TunnelError } from "./errors.ts";

/**
 * What one connector may have done for it, on all its tunnels, in units of about the work of a short notice. That all
 * backends of 10,000 apps are out of reach, said again every 20 s, is a quarter of it.
 */
const WORK: AllowanceRate = { burst: 40_000, perSecond: 2_000 };

const UNITS = { tunnel: 400, refusal: 20, lane: 1, request: 10, app: 1 } as const;
/** Requests that cost more. */
const UNITS_OF_REQUEST: ReadonlyMap<string, number> = new Map([
  ["config.pull", 50],
  ["version.poll", 20],
  ["certificate.renew", 200],
]);
/** Bytes of a message that cost a unit. */
const BYTES_A_UNIT = 256;
/** Apps of an answer that are counted: a larger group must remain possible. */
const MOST_APPS = 5_000;

/**
 * Bounds what each connector can make the broker do with messages, streams and tunnels, however it spreads them over
 * connections. Each method throws `tunnel_flood` where a connector has had too much done of late; its tunnel is to be
 * ended then.
 */
export class ConnectorWork {
  readonly #allowances = new Allowances(WORK);
  readonly #now: () => number;

  /** `now` is a monotonic clock, milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A tunnel is to be opened: reading and writing the store, log lines. */
  tunnel(connectorId: string): void {
    this.#spend(connectorId, UNITS.tunnel);
  }

  /** A lane was opened, or a stream refused. */
  stream(connectorId: string, what: "lane" | "refusal"): void {
    this.#spend(connectorId, UNITS[what]);
  }

  /** A control message of so many bytes came. */
  message(connectorId: string, bytes: number): void {
    this.#spend(connectorId, 1 + Math.floor(bytes / BYTES_A_UNIT));
  }

  /** It is a request of this type. */
  request(connectorId: string, type: string): void {
    this.#spend(connectorId, UNITS_OF_REQUEST.get(type) ?? UNITS.request);
  }

  /** So many apps are to be read and sent. */
  apps(connectorId: string, count: number): void {
    this.#spend(connectorId, UNITS.app * Math.min(MOST_APPS, count));
  }

  #spend(connectorId: string, units: number): void {
    if (this.#allowances.take(connectorId, units, this.#now()) >= 0) return;
    throw new TunnelError("tunnel_flood", `Connector "${connectorId}" asks and says more than it may`, {
      retryable: true,
    });
  }
}
