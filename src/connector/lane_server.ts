import type { Duplex } from "node:stream";
import type { SessionLog } from "../platform/log.ts";
import type { ConnectorApp } from "../protocol/app.ts";
import type { Abort, HeaderList, InformationalHead, RequestHead, ResponseHead } from "../protocol/heads.ts";
import { PROBE_APP_ID } from "../protocol/probe.ts";
import type { Backlog } from "../tunnel/backlog.ts";
import type { CreditBudget } from "../tunnel/credit_budget.ts";
import type { ExchangeHandler } from "../tunnel/exchange_handler.ts";
import type { FlushQueue } from "../tunnel/flush_queue.ts";
import { Lane } from "../tunnel/lane.ts";
import type { LaneOwner } from "../tunnel/lane_owner.ts";
import type { Pace } from "../tunnel/pace.ts";
import type { BackendExchange, Backends } from "./backend/port.ts";
import { BackendAnswer } from "./backend_answer.ts";
import type { KnownApps } from "./known_apps.ts";

/** What a lane needs of its tunnel. */
export interface LaneServerTunnel {
  readonly budget: CreditBudget;
  readonly flushes: FlushQueue;
  readonly backlog: Backlog;
  readonly pace: Pace;
  readonly roundTripMs: number;
  readonly backends: Backends;
  readonly apps: KnownApps;
  readonly sessionLog: SessionLog;
  readonly connectorId: string;
  now(): number;
  received(bytes: number): void;
  /** Brings the configuration up to date. */
  pull(): Promise<void>;
  /** An exchange has failed, for this reason. */
  backendFailed(appId: string, code: string): void;
  /** An error that nobody has foreseen: worth a line in the log. */
  failed(error: Error): void;
  laneBusy(isProbe: boolean): void;
  laneIdle(): void;
  laneClosed(server: LaneServer, error: Error | null, wasIdle: boolean): void;
}

/** Request bytes that may wait for a backend exchange to begin; the credit of a new exchange is less. */
type Early = Buffer[];

const PROBE_ANSWER: ResponseHead = { status: 204, reason: "", headers: [], hasBody: false };

/** Serves the exchanges of one lane, one after another: takes requests off it and answers with what a backend says. */
export class LaneServer implements LaneOwner, ExchangeHandler {
  readonly lane: Lane;
  readonly #tunnel: LaneServerTunnel;
  /** `waiting` for the configuration or for its turn; `serving` from the backend; `answered`: what still comes is dropped. */
  #state: "idle" | "waiting" | "serving" | "answered" = "idle";
  #answer: BackendAnswer | null = null;
  #backend: BackendExchange | null = null;
  #early: Early = [];
  /** Trailers of a body that has ended before its exchange with the backend began. */
  #earlyEnd: HeaderList | null = null;
  /** Request bytes handed to a backend that has asked to wait. */
  #waiting = 0;

  constructor(stream: Duplex, tunnel: LaneServerTunnel) {
    this.#tunnel = tunnel;
    this.lane = new Lane(stream, "connector", this);
  }

  get budget(): CreditBudget {
    return this.#tunnel.budget;
  }

  get flushes(): FlushQueue {
    return this.#tunnel.flushes;
  }

  get backlog(): Backlog {
    return this.#tunnel.backlog;
  }

  get roundTripMs(): number {
    return this.#tunnel.roundTripMs;
  }

  now(): number {
    return this.#tunnel.now();
  }

  received(bytes: number): void {
    this.#tunnel.received(bytes);
  }

  begun(lane: Lane, head: RequestHead): void {
    const isProbe = head.appId === PROBE_APP_ID;
    this.#tunnel.laneBusy(isProbe);
    lane.accept(this);
    if (isProbe) return lane.sendResponse(PROBE_ANSWER);
    this.#state = "waiting";
    const { apps, pace } = this.#tunnel;
    // An app that is not known may be of a group to which this connector was moved: its revisions are others.
    const isKnown = head.revision <= apps.revision && apps.get(head.appId) !== undefined;
    if (isKnown && pace.mayBegin()) return this.#serve(head);
    const { exchange } = lane;
    const serve = () => {
      if (lane.exchange === exchange && lane.isSending) this.#serve(head);
    };
    if (isKnown) return pace.later(serve);
    this.#tunnel.pull().then(serve, () => {
      // What is known of the app may be out of date, and its rules with it: nothing is sent by old ones.
      if (lane.exchange !== exchange || !lane.isSending) return;
      if (head.revision <= apps.revision) this.#serve(head);
      else lane.abort({ code: "app_unknown", begun: false });
    });
  }

  idle(): void {
    this.#reset();
    this.#tunnel.laneIdle();
  }

  closed(_lane: Lane, error: Error | null, wasIdle: boolean): void {
    this.#reset();
    this.#tunnel.laneClosed(this, error, wasIdle);
  }

  data(bytes: Buffer): void {
    if (this.#state === "waiting") {
      this.#early.push(bytes);
    } else if (this.#backend !== null) {
      this.#answer!.bytesIn += bytes.length;
      if (this.#backend.write(bytes)) this.lane.consumed(bytes.length);
      else this.#waiting += bytes.length;
    } else {
      this.lane.consumed(bytes.length); // Dropped; the broker may go on to the end of the body.
    }
  }

  end(trailers: HeaderList, unread: number): void {
    if (unread > 0) this.budget.give(unread); // The backend's request body holds at most the rest of one credit now.
    if (this.#state === "waiting") this.#earlyEnd = trailers;
    else this.#backend?.end(trailers);
  }

  abort(reason: Abort): void {
    this.#answer?.aborted(reason.code);
    this.#backend?.abort();
    this.#reset();
  }

  writable(): void {
    this.#backend?.resume();
  }

  informational(_head: InformationalHead): void {}

  response(_head: ResponseHead): void {}

  /** The backend takes request bytes again. */
  drained(answer: BackendAnswer): void {
    if (answer !== this.#answer) return;
    const bytes = this.#waiting;
    this.#waiting = 0;
    if (bytes > 0) this.lane.consumed(bytes);
  }

  /** The backend has finished its answer, or failed. False: the exchange had ended before that. */
  answered(answer: BackendAnswer): boolean {
    if (answer !== this.#answer) return false;
    const dropped = this.#waiting;
    this.#reset();
    this.#state = "answered";
    if (dropped > 0) this.lane.consumed(dropped); // The broker may be at the end of the body, and lack credit for it.
    return true;
  }

  /** Ends the exchange with this code, whatever the backend and the broker are doing. */
  endWith(answer: BackendAnswer, code: string): void {
    const backend = this.#backend;
    if (!this.answered(answer)) return;
    backend?.abort();
    this.lane.abort({ code, begun: true });
  }

  /** True while this answer's exchange is the one on the lane. */
  isCurrent(answer: BackendAnswer): boolean {
    return answer === this.#answer;
  }

  #serve(head: RequestHead): void {
    const app: ConnectorApp | undefined = this.#tunnel.apps.get(head.appId);
    if (app === undefined) return this.lane.abort({ code: "app_unknown", begun: false });
    const answer = new BackendAnswer(this, head);
    this.#answer = answer;
    this.#state = "serving";
    if (head.msLeft > 0) answer.endIn(head.msLeft);
    try {
      this.#backend = this.#tunnel.backends.dispatch(app, {
        method: head.method,
        target: head.target,
        headers: head.headers,
        hasBody: head.follows === "body",
        upgrade: head.follows === "upgrade",
      }, answer);
    } catch (error) {
      this.#tunnel.failed(error as Error);
      return answer.failed({ code: "internal", message: String(error), begun: true });
    }
    if (head.follows !== "body") return;
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.data(bytes);
    if (this.#earlyEnd !== null) this.#backend?.end(this.#earlyEnd);
  }

  #reset(): void {
    this.#state = "idle";
    this.#answer = null;
    this.#backend = null;
    this.#waiting = 0;
    this.#earlyEnd = null;
    if (this.#early.length > 0) this.#early = [];
  }

  /** Whose exchanges these are, and where they are logged. */
  get tunnel(): LaneServerTunnel {
    return this.#tunnel;
  }
}
