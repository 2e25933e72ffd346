import type { Log } from "../platform/log.ts";
import type { ConnectorTunnel } from "./tunnel.ts";

/** Grace of a tunnel that was replaced: what setTimeout can wait at most. */
const LONGEST_DRAIN_MS = 0x7fff_ffff;
/** A broker that said when it stops gets so many milliseconds more before its tunnel is ended here. */
const LATE_MS = 5_000;

/** Tunnels that another one has replaced, and that end when what is in flight on them has. */
export class LeavingTunnels {
  readonly #log: Log;
  readonly #tunnels = new Set<ConnectorTunnel>();
  /** What each may still take, milliseconds, once the process is about to end. */
  #graceMs: number | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  /** What is in flight may take its time: the broker ends the tunnel with its certificate. */
  add(tunnel: ConnectorTunnel): void {
    this.#keep(tunnel);
    if (this.#graceMs === null) tunnel.drain(LONGEST_DRAIN_MS);
    else tunnel.stop(this.#graceMs);
  }

  /** Of a broker that is about to stop: it ends the tunnel itself, `graceMs` milliseconds from now. */
  addOfStopping(tunnel: ConnectorTunnel, graceMs: number): void {
    this.#keep(tunnel);
    const lateMs = Math.min(Math.max(graceMs, 0) + LATE_MS, LONGEST_DRAIN_MS);
    const timer = setTimeout(() => tunnel.drain(0), lateMs);
    void tunnel.ended.then(() => clearTimeout(timer));
    if (this.#graceMs !== null) tunnel.stop(this.#graceMs);
  }

  /** The process is about to end: each tunnel has so many milliseconds more, also those that are yet to come. */
  stop(graceMs: number): void {
    this.#graceMs = graceMs;
    for (const tunnel of this.#tunnels) tunnel.stop(graceMs);
  }

  /** Resolves when all of them have ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.ended));
  }

  #keep(tunnel: ConnectorTunnel): void {
    this.#tunnels.add(tunnel);
    void tunnel.ended.then((reason) => {
      this.#tunnels.delete(tunnel);
      const { code } = (reason ?? {}) as { code?: string };
      this.#log.debug(
        "tunnel left",
        reason === null ? {} : { reason: reason.message, code: code ?? "error" },
      );
    });
  }
}
