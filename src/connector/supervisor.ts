import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, jittered } from "../platform/backoff.ts";
import type { Log } from "../platform/log.ts";
import type { BrokerAddress } from "./broker_addresses.ts";
import { dialTunnel } from "./dial.ts";
import { MIN_RECONNECT_WINDOW_MS } from "../protocol/reconnect_window.ts";
import { DialError } from "./errors.ts";
import { LeavingTunnels } from "./leaving_tunnels.ts";
import { failureFields, OutageLog } from "./outage_log.ts";
import { RedialWaits } from "./redial_waits.ts";
import { mayPass, type ShutOut, shutOutBy } from "./shut_out.ts";
import type { DialTarget } from "./tunnel_socket.ts";
import { ConnectorTunnel } from "./tunnel.ts";
import type { TunnelContext } from "./tunnel_context.ts";

/** What keeps a tunnel up. */
export interface SupervisorOptions {
  /** Asked anew before each dial: certificate and address may have changed. */
  target: (signal: AbortSignal) => DialTarget | Promise<DialTarget>;
  /** Where to dial, whatever address a target has; by default that is it. */
  address?: BrokerAddress;
  context: TunnelContext;
  log: Log;
  /** Time for each step of dialling, milliseconds. */
  stepMs: number;
  /** Time that exchanges in flight get when it is stopped, milliseconds; none by default. */
  drainMs?: number;
  onReady: (tunnel: ConnectorTunnel) => void;
  /** Stands in for `dialTunnel` in tests. */
  dial?: typeof dialTunnel;
  /** Stands in for waiting between dials, milliseconds, in tests. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Milliseconds of a monotonic clock. */
  now?: () => number;
}

const FIRST_MS = 250;
const CAP_BESIDE_MS = 2_000;
/** While only a person can change the refusal. */
const SHUT_OUT_MS = 300_000;
const SHUT_OUT_JITTER = 0.2;
/** Dials beside a tunnel that is in doubt. */
const MOST_BESIDE = 8;
const UNREACHABLE: ReadonlySet<string> = new Set(["broker_unreachable", "broker_unresolvable"]);

/** What the supervisor is at. */
export type SupervisorState = "dialling" | "connected" | "waiting" | "stopped";

/** Keeps one tunnel to the broker: dials, waits for its end, dials again with full jitter. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #state: SupervisorState = "stopped";
  #tunnel: ConnectorTunnel | null = null;
  #lastError: Error | null = null;
  #shutOut: ShutOut | null = null;
  readonly #outage: OutageLog;
  readonly #waits = new RedialWaits();
  /** What the tunnel was dialled with. */
  #target: DialTarget | null = null;
  /** Tells the loop that another tunnel has taken the place of the one it watches. */
  #moved: () => void = () => {};
  readonly #leaving: LeavingTunnels;
  /** Of `run`: what is dialled beside a tunnel ends with it. */
  #running: AbortSignal = AbortSignal.abort();
  /** The tunnel beside which another one is being dialled. */
  #doubted: ConnectorTunnel | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#leaving = new LeavingTunnels(options.log);
    this.#outage = new OutageLog(options.log, options.now ?? monotonic);
  }

  /** The configured address by which it dials; undefined where the identity in use has it. */
  get address(): BrokerAddress {
    return this.#options.address;
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Why the broker does not let this connector in until a person does something; null otherwise. */
  get shutOut(): ShutOut | null {
    return this.#shutOut;
  }

  get tunnel(): ConnectorTunnel | null {
    return this.#tunnel;
  }

  /** Certificate with which the tunnel was dialled, PEM; null without a tunnel. */
  get certificate(): string | null {
    return this.#tunnel === null ? null : this.#target?.certificate ?? null;
  }

  /**
   * Dials a second tunnel, with another identity, and lets it take the first one's place once it is ready and `accept`
   * has resolved; exchanges on the first one end in peace. Throws what dialling and `accept` throw, and `broker_lost`
   * without a tunnel; the first one stays then.
   */
  async replace(
    target: DialTarget,
    signal: AbortSignal,
    accept = async () => {},
    leave = (before: ConnectorTunnel) => this.#leaving.add(before),
  ): Promise<void> {
    const { context, stepMs, log, dial = dialTunnel } = this.#options;
    if (this.#tunnel === null) {
      throw new DialError("broker_lost", "There is no tunnel to replace", { retryable: true });
    }
    const dialled = await dial(this.#byOwnAddress(target), stepMs, signal);
    const next = new ConnectorTunnel(dialled, context);
    const abort = () => next.close(null);
    signal.addEventListener("abort", abort);
    try {
      if (signal.aborted) abort();
      await next.start();
    } catch (error) {
      next.close(error as Error);
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
    try {
      await accept();
    } catch (error) {
      this.#leaving.add(next); // The broker may have begun exchanges on it.
      throw error;
    }
    const before = this.#tunnel;
    if (before === null || signal.aborted) return this.#leaving.add(next);
    this.#tunnel = next;
    this.#target = target;
    this.#watch(next);
    this.#moved();
    log.info("tunnel moved", { broker: dialled.remoteAddress });
    leave(before);
  }

  #byOwnAddress(target: DialTarget): DialTarget {
    return { ...target, address: this.address ?? target.address };
  }

  #watch(tunnel: ConnectorTunnel): void {
    tunnel.onDoubt = (cause, graceMs) => void this.#dialBeside(tunnel, cause, graceMs);
  }

  /**
   * Dials another tunnel beside one that is about to end or has fallen silent, for as long as that one lasts: whoever comes
   * first, its end or the new tunnel. Does not throw.
   */
  async #dialBeside(
    tunnel: ConnectorTunnel,
    cause: "drain" | "silent",
    graceMs: number,
  ): Promise<void> {
    if (this.#doubted === tunnel || this.#tunnel !== tunnel) return;
    this.#doubted = tunnel;
    const { target, log, onReady, wait = pause } = this.#options;
    const over = new AbortController();
    void tunnel.ended.then(() => over.abort());
    const lasting = AbortSignal.any([this.#running, over.signal]);
    // Whoever announced the end of a tunnel ends it: until then requests may come on it.
    const leave = cause === "drain"
      ? (before: ConnectorTunnel) => this.#leaving.addOfStopping(before, graceMs)
      : undefined;
    log.info("dialling a tunnel beside the one there is", { cause });
    const { reconnectWindowMs } = tunnel;
    if (cause === "drain" && reconnectWindowMs > MIN_RECONNECT_WINDOW_MS) {
      // So do many others.
      await wait(Math.random() * Math.min(reconnectWindowMs, graceMs / 2), lasting);
    }
    for (let i = 0; i < MOST_BESIDE && !lasting.aborted && this.#tunnel === tunnel; i++) {
      try {
        await this.replace(await target(lasting), lasting, undefined, leave);
        if (this.#tunnel !== null && this.#tunnel !== tunnel) onReady(this.#tunnel);
        break;
      } catch (error) {
        if (lasting.aborted) break;
        log.info("no tunnel beside the one there is", failureFields(error as Error));
        // A broker that stops and has no successor: dialled again when its tunnel has ended.
        if (cause === "drain" && UNREACHABLE.has((error as { code?: string }).code ?? "")) break;
        await wait(backoffMs(i, { firstMs: FIRST_MS, capMs: CAP_BESIDE_MS }), lasting);
      }
    }
    if (this.#doubted === tunnel) this.#doubted = null;
  }

  /** Why the last dial failed or the last tunnel ended; null while all is well. */
  get lastError(): Error | null {
    return this.#lastError;
  }

  /** Runs until the signal is aborted, and what was in flight then is over. */
  async run(signal: AbortSignal): Promise<void> {
    this.#running = signal;
    const stop = () => this.#leaving.stop(this.#options.drainMs ?? 0);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    while (!signal.aborted) {
      const failure = await this.#once(signal);
      if (signal.aborted) break;
      this.#state = "waiting";
      this.#shutOut = shutOutBy(this.#lastError);
      const waitMs = this.#shutOut === null || mayPass(this.#shutOut)
        ? this.#waits.next()
        : jittered(SHUT_OUT_MS, SHUT_OUT_JITTER);
      if (failure !== null) this.#outage.failed(failure, this.#shutOut, waitMs);
      else if (this.#shutOut !== null) this.#outage.shutOut(this.#shutOut, waitMs);
      await (this.#options.wait ?? pause)(waitMs, signal);
    }
    signal.removeEventListener("abort", stop);
    await this.#leaving.ended();
    this.#state = "stopped";
  }

  /** One tunnel from dial to end; gives why there was none, null where there was one. */
  async #once(signal: AbortSignal): Promise<Error | null> {
    const { context, stepMs, target, onReady, dial = dialTunnel, now = monotonic } = this.#options;
    this.#state = "dialling";
    let starting: ConnectorTunnel | null = null;
    const stop = () => (this.#tunnel ?? starting)?.stop(this.#options.drainMs ?? 0);
    try {
      const dialledWith = await target(signal);
      const dialled = await dial(this.#byOwnAddress(dialledWith), stepMs, signal);
      const tunnel = starting = new ConnectorTunnel(dialled, context);
      signal.addEventListener("abort", stop);
      if (signal.aborted) stop();
      const welcome = await tunnel.start();
      this.#tunnel = tunnel;
      this.#target = dialledWith;
      this.#watch(tunnel);
      this.#state = "connected";
      this.#lastError = null;
      this.#shutOut = null;
      this.#outage.ready({
        connector: welcome.connectorId,
        node: welcome.nodeId,
        broker: dialled.remoteAddress,
      });
      onReady(tunnel);
      const begun = now();
      const { last, reason } = await this.#lastEnd(tunnel);
      this.#waits.lost(now() - begun, last.reconnectWindowMs);
      this.#lastError = reason;
      if (!signal.aborted) this.#outage.lost(reason);
      return null;
    } catch (error) {
      (this.#tunnel ?? starting)?.close(error as Error);
      this.#waits.failed(error as Error);
      this.#lastError = error as Error;
      return this.#lastError;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#tunnel = null;
      this.#moved = () => {};
    }
  }

  /** The last of the tunnels that took one another's place, beginning with this one, and why it ended. */
  async #lastEnd(first: ConnectorTunnel): Promise<{ last: ConnectorTunnel; reason: Error | null }> {
    let watched = first;
    for (;;) {
      const moved = new Promise<void>((resolve) => this.#moved = resolve);
      const reason = await Promise.race([watched.ended, moved]);
      const next = this.#tunnel;
      if (next === null || next === watched) return { last: watched, reason: reason ?? null };
      watched = next;
    }
  }
}

function monotonic(): number {
  return performance.now();
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
