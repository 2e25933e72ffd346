import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { performance } from "node:perf_hooks";
import type { SessionLog } from "../platform/log.ts";
import { parseVersionAnswer, parseWelcome, type Welcome } from "../protocol/messages.ts";
import { parseRenewalAnswer } from "../protocol/certificates.ts";
import { MIN_RECONNECT_WINDOW_MS, parseReconnectWindow } from "../protocol/reconnect_window.ts";
import { ControlChannel, type Fields } from "../tunnel/control_channel.ts";
import { Backlog } from "../tunnel/backlog.ts";
import type { CreditBudget } from "../tunnel/credit_budget.ts";
import { FlushQueue } from "../tunnel/flush_queue.ts";
import { Pace, REQUESTS_PER_TURN } from "../tunnel/pace.ts";
import { Pulse } from "../tunnel/pulse.ts";
import type { Backends } from "./backend/port.ts";
import type { DialledTunnel } from "./dial.ts";
import { DialError } from "./errors.ts";
import type { KnownApps } from "./known_apps.ts";
import { LaneServer, type LaneServerTunnel } from "./lane_server.ts";
import { LaneSupply } from "./lane_supply.ts";
import { Polls } from "./polls.ts";
import type { TunnelContext } from "./tunnel_context.ts";

const HELLO_TIMEOUT_MS = 10_000;
const POLL_TIMEOUT_MS = 20_000;
/** The broker may have to ask an authority elsewhere. */
const RENEWAL_TIMEOUT_MS = 60_000;

/** The connector's end of one tunnel, from `hello` to its end. */
export class ConnectorTunnel implements LaneServerTunnel {
  readonly backends: Backends;
  readonly apps: KnownApps;
  readonly budget: CreditBudget;
  readonly sessionLog: SessionLog;
  readonly flushes: FlushQueue = new FlushQueue();
  readonly backlog: Backlog = new Backlog();
  readonly pace: Pace = new Pace(REQUESTS_PER_TURN);
  readonly connectedAt: number = Date.now();
  /**
   * Called when another tunnel should be dialled beside this one: the broker is about to stop, within `graceMs`, or nothing
   * has come from it for a while.
   */
  onDoubt: (cause: "drain" | "silent", graceMs: number) => void = () => {};
  /** Resolves when the tunnel has ended, with the reason; null when the broker ended it in peace. */
  readonly ended: Promise<Error | null>;
  readonly #context: TunnelContext;
  readonly #session: ClientHttp2Session;
  readonly #control: ControlChannel;
  readonly #pulse: Pulse;
  readonly #supply: LaneSupply;
  readonly #polls = new Polls((error) => this.#pollFailed(error));
  #drainTimer: NodeJS.Timeout | null = null;
  /** `draining`: exchanges that have begun go on, no lane is opened any more. */
  #state: "greeting" | "ready" | "draining" | "closed" = "greeting";
  /** The process is about to end. */
  #isStopping = false;
  #finish: (reason: Error | null) => void = () => {};
  #welcome: Welcome | null = null;
  #reconnectWindowMs = MIN_RECONNECT_WINDOW_MS;
  #exchanges = 0;
  /** Exchanges by which the broker tries the tunnel: not counted with those of users. */
  #probes = 0;
  /** Pulls for changes that the broker has announced. */
  #announced = 0;

  constructor(dialled: DialledTunnel, context: TunnelContext) {
    this.#context = context;
    this.#session = dialled.session;
    this.backends = context.backends;
    this.apps = context.apps;
    this.budget = context.budget;
    this.sessionLog = context.sessionLog;
    this.ended = new Promise((resolve) => this.#finish = resolve);
    this.#pulse = new Pulse(dialled.session, context.times, () =>
      this.close(
        new DialError("broker_timeout", `Broker sent nothing for ${context.times.timeoutMs} ms`, {
          retryable: true,
        }),
      ), () => this.#doubt("silent", 0));
    this.#supply = new LaneSupply(context.maxLanes, () => this.#openLane());
    this.#control = new ControlChannel(dialled.control, {
      request: () => Promise.resolve("unsupported" as const),
      notice: (type, fields) => this.#noticed(type, fields),
      received: (bytes) => this.received(bytes),
      closed: (error) => this.close(error),
    });
    dialled.session.on("error", (error) => this.close(error));
    dialled.session.on("close", () => this.close(null));
    // No lane can be opened on this session any more.
    dialled.session.on(
      "goaway",
      () =>
        this.close(
          new DialError("broker_lost", "The broker takes no new lanes (GOAWAY)", { retryable: true }),
        ),
    );
  }

  get connectorId(): string {
    return this.#welcome?.connectorId ?? "";
  }

  get state(): "greeting" | "ready" | "draining" | "closed" {
    return this.#state;
  }

  get roundTripMs(): number {
    return this.#pulse.roundTripMs;
  }

  /** Time over which to spread the first dial after the loss of this tunnel, milliseconds, as its broker has told it. */
  get reconnectWindowMs(): number {
    return this.#reconnectWindowMs;
  }

  /** For `status`: since when (ISO 8601), and numbers of now. */
  get facts(): Record<string, number | string> {
    return {
      connectedAt: new Date(this.connectedAt).toISOString(),
      lanesIdle: this.#supply.idle,
      lanesBusy: this.#supply.busy,
      exchanges: this.#exchanges,
      probes: this.#probes,
      roundTripMs: this.#pulse.roundTripMs,
      bytesReceived: this.#pulse.bytesReceived,
    };
  }

  /** Introduces this connector, learns its apps and opens the first lanes. Throws when the broker will not have it. */
  async start(): Promise<Welcome> {
    const answer = await this.#control.request("hello", { ...this.#context.hello }, HELLO_TIMEOUT_MS);
    this.#welcome = parseWelcome(answer);
    this.#learnWindow(answer);
    await this.pull();
    if (this.#state === "closed") {
      throw new DialError("broker_lost", "Tunnel was closed while it started", { retryable: true });
    }
    this.#state = "ready";
    // Before the first lane: no exchange is to come that could go elsewhere.
    for (const { app } of this.#context.health.outOfReach) this.tellBackend(app, false);
    this.#supply.start();
    this.#polls.every(this.#context.configPullIntervalMs, () => this.pull());
    this.#polls.every(this.#context.versionPollIntervalMs, () => this.#pollVersion());
    void this.#pollVersion().catch((error) => this.#pollFailed(error));
    return this.#welcome;
  }

  now(): number {
    return performance.now();
  }

  received(bytes: number): void {
    this.#pulse.received(bytes);
  }

  async pull(): Promise<void> {
    const { revision, outdated } = await this.apps.pull(this.#control);
    for (const id of outdated) this.backends.forget(id);
    this.#context.health.changed(outdated);
    if (outdated.length > 0) {
      this.#context.log.info("configuration applied", { revision, apps: this.apps.size });
    }
  }

  /** Asks for a certificate for the key of a PKCS#10 request, PEM; gives it with its issuer's, PEM. Throws `ControlError`. */
  async renew(csr: string): Promise<string> {
    const answer = await this.#control.request("certificate.renew", { csr }, RENEWAL_TIMEOUT_MS);
    return parseRenewalAnswer(answer).certificate;
  }

  /** Tells the broker whether this connector reaches an app's backend. */
  tellBackend(appId: string, isUp: boolean): void {
    if (this.#state === "ready") this.#control.notice("backend.health", { appId, up: isUp });
  }

  /** Tells the broker which trust anchors are on disk now: SHA-256 fingerprints, in hexadecimal. */
  tellTrust(roots: string[]): void {
    if (this.#state !== "closed") this.#control.notice("trust.taken", { roots });
  }

  backendFailed(appId: string, code: string): void {
    this.#context.health.failed(appId, code);
  }

  failed(error: Error): void {
    this.#context.log.error("cannot serve exchange", { error: error.message, stack: error.stack });
  }

  laneBusy(isProbe: boolean): void {
    if (isProbe) this.#probes += 1;
    else this.#exchanges += 1;
    this.#supply.busied();
  }

  laneIdle(): void {
    this.#supply.idled();
    if (this.#isStopping) this.#forsake();
  }

  laneClosed(_server: LaneServer, error: Error | null, wasIdle: boolean): void {
    this.#supply.closed(wasIdle, error !== null);
    if (this.#state === "draining") this.#drained();
    if (this.#isStopping) this.#forsake();
  }

  /** Tells the broker which process (instance id) is about to take over from this one. */
  announceSuccessor(instanceId: string): void {
    if (this.#state === "ready") this.#control.notice("handover", { instanceId });
  }

  /**
   * Ends the tunnel once the exchanges that have begun are over, at the latest after `graceMs`. The broker begins no more
   * and retires each lane that is idle: with the last one gone, nothing can be under way. Called again, the grace is
   * the new one.
   */
  drain(graceMs: number): void {
    if (this.#state === "closed") return;
    if (this.#state === "draining") {
      if (this.#drainTimer !== null) clearTimeout(this.#drainTimer);
      this.#drainTimer = setTimeout(() => this.close(null), graceMs);
      return;
    }
    if (this.#state === "greeting" || graceMs === 0) return this.close(null);
    this.#state = "draining";
    this.#supply[Symbol.dispose]();
    this.#polls[Symbol.dispose]();
    this.#drainTimer = setTimeout(() => this.close(null), graceMs);
    this.#control.notice("drain", { graceMs });
    this.#drained();
  }

  /** As `drain`, where the process is about to end: what carries nothing and has fallen silent is not waited for. */
  stop(graceMs: number): void {
    this.#isStopping = true;
    this.drain(graceMs);
    this.#forsake();
  }

  /** There is no exchange to finish, and a broker that cannot be heard retires no lanes. */
  #forsake(): void {
    if (this.#pulse.isSilent && this.#supply.busy === 0) this.close(null);
  }

  #drained(): void {
    if (this.#supply.total === 0) this.#control.end(); // The broker ends it, too, and with it the tunnel.
  }

  /** Ends the tunnel at once, with what is on it. */
  close(reason: Error | null): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#supply[Symbol.dispose]();
    this.#pulse[Symbol.dispose]();
    this.#polls[Symbol.dispose]();
    this.backlog[Symbol.dispose]();
    if (this.#drainTimer !== null) clearTimeout(this.#drainTimer);
    // Not within an event of the socket: that has aborted both runtimes.
    setImmediate(() => this.#session.destroy());
    this.#finish(reason);
  }

  #openLane(): void {
    // Within the end of a session its streams close before it says that it is closed itself.
    if (this.#session.destroyed) return this.close(null);
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request({ ":method": "POST", ":path": "/tunnel/v1/lane" }, { endStream: false });
    } catch (cause) {
      // Who wants a lane may be a timer, or an exchange that has nothing to do with it.
      return this.close(
        new DialError("broker_lost", "No lane can be opened any more", { cause, retryable: true }),
      );
    }
    const { lane } = new LaneServer(stream, this);
    stream.on("response", (headers) => {
      if (headers[":status"] !== 200) {
        lane.destroy(new Error(`Broker refuses a lane: status ${headers[":status"]}`));
      }
    });
  }

  #noticed(type: string, fields: Fields): void {
    if (type === "lanes.want") {
      if (typeof fields.n === "number" && fields.n > 0) this.#supply.add(fields.n);
    } else if (type === "config.changed") {
      // One runs, and one more sees all that has changed by then: a third would learn nothing.
      if (this.#announced >= 2) return;
      this.#announced += 1;
      this.pull().catch((error) => this.#pollFailed(error)).finally(() => this.#announced -= 1);
    } else if (type === "reconnect.window") {
      this.#learnWindow(fields);
    } else if (type === "revoked") {
      const reason = typeof fields.code === "string" ? fields.code.slice(0, 64) : "";
      this.close(
        new DialError("tunnel_refused", `The broker has ended this connector's access (${reason})`, {
          details: { step: "tunnel", reason },
        }),
      );
    } else {
      if (type === "drain") this.#learnWindow(fields);
      this.#context.onNotice(type, fields, this);
      if (type === "drain") this.#doubt("drain", typeof fields.graceMs === "number" ? fields.graceMs : 0);
    }
  }

  #learnWindow(fields: Fields): void {
    this.#reconnectWindowMs = parseReconnectWindow(fields) ?? this.#reconnectWindowMs;
  }

  #doubt(cause: "drain" | "silent", graceMs: number): void {
    if (this.#state === "ready") this.onDoubt(cause, graceMs);
    else if (this.#isStopping) this.#forsake();
  }

  async #pollVersion(): Promise<void> {
    this.#context.onVersion(
      parseVersionAnswer(await this.#control.request("version.poll", {}, POLL_TIMEOUT_MS)),
    );
  }

  #pollFailed(error: Error): void {
    if (this.#state !== "closed") {
      this.#context.log.warn("broker did not answer a question", { error: error.message });
    }
  }
}
