import { performance } from "node:perf_hooks";
import type { SessionLog } from "../../platform/log.ts";
import {
  type Abort,
  encodeRequest,
  type HeaderList,
  type InformationalHead,
  type RequestHead,
  type ResponseHead,
} from "../../protocol/heads.ts";
import { answerTo, countedAs } from "./answer_codes.ts";
import type { IngressCode } from "./error_table.ts";
import type { FlushQueue } from "../../tunnel/flush_queue.ts";
import type { ExchangeHandler } from "../../tunnel/lane.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import type { LanePort, Lanes, LaneWaiter } from "../registry/port.ts";
import type { LengthSink } from "./response_headers.ts";

/** What every exchange of the ingress shares. */
export interface ExchangeContext {
  lanes: Lanes;
  counters: DataPlaneCounters;
  sessionLog: SessionLog;
  /** Flushes once a turn of the event loop. */
  turns: FlushQueue;
}

/** Makes a whole error response: `headers` are names and values in turn. */
export type ErrorPages = (
  code: IngressCode,
  requestId: string,
  accept: string | undefined,
  method: string,
) => { readonly status: number; readonly headers: readonly string[]; readonly body: Uint8Array };

/** Which app a request is for, and what of it is for the logs. */
export interface ExchangeTarget {
  appId: string;
  appName: string;
  groupId: string;
  /** Configuration revision at which the app last changed. */
  revision: number;
  requestId: string;
  clientIp: string;
  scheme: string;
  host: string;
  path: string;
}

const CANCELLED: Abort = { code: "cancelled", begun: true };
const UNUSABLE: Abort = { code: "backend_bad_response", begun: true };
const NOT_WANTED: Abort = { code: "response_complete", begun: true };

/**
 * One exchange as the ingress carries it, whatever protocol the user speaks: from waiting for a lane to the last byte.
 * Subclasses say how a user's request is read and answered.
 */
export abstract class IngressExchange implements ExchangeHandler, LaneWaiter, LengthSink {
  readonly target: ExchangeTarget;
  protected readonly context: ExchangeContext;
  /**
   * `answered`: the final head is out. `half_closed`: after an upgrade the backend has ended and the user may still send.
   * `over`: nothing more will be sent to the user.
   */
  protected state: "new" | "waiting" | "sent" | "answered" | "half_closed" | "over" = "new";
  #lane: LanePort | null = null;
  #frame: Buffer | null = null;
  #method = "";
  #follows: RequestHead["follows"] = "nothing";
  #connectorId = "";
  #status = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  /** How long the response says that its body is. */
  #length = Number.POSITIVE_INFINITY;
  #hasBody = false;
  #headMs = 0;
  /** Response bytes that the user has not taken yet. */
  #unread = 0;
  /** Those of them that outlived the lane's exchange. */
  #lingering = 0;
  readonly #begunAt = performance.now();

  constructor(context: ExchangeContext, target: ExchangeTarget) {
    this.context = context;
    this.target = target;
  }

  /** Hands the request to the tunnels. */
  protected dispatch(
    method: string,
    backendTarget: string,
    headers: HeaderList,
    follows: RequestHead["follows"],
  ): void {
    const { target, context } = this;
    this.#method = method;
    this.#follows = follows;
    context.counters.started();
    const frame = this.#encode({
      appId: target.appId,
      revision: target.revision,
      method,
      target: backendTarget,
      headers,
      follows,
      msLeft: 0,
      client: { ip: target.clientIp, scheme: target.scheme },
      requestId: target.requestId,
    });
    if (frame === null) return this.#fail("header_too_large");
    this.#frame = frame;
    this.state = "waiting";
    context.lanes.acquire(target.groupId, this);
  }

  /** Starts to read the request body: `sendBody`, then `sendBodyEnd`. */
  protected abstract startBody(): void;
  /** Lets the request body flow again. */
  protected abstract resumeBody(): void;
  /** The response is out and nobody wants the rest of the request body, of which some may still come. */
  protected abstract stopBody(): void;
  protected abstract writeInformational(head: InformationalHead): void;
  protected abstract writeHead(head: ResponseHead): void;
  /** False: the user does not keep up; `userDrained` follows. */
  protected abstract writeBody(bytes: Buffer): boolean;
  protected abstract writeEnd(trailers: HeaderList): void;
  /** Answers with an error page; no head is out yet. */
  protected abstract writeError(code: IngressCode): void;
  /** Breaks the response off, so that the user can tell. */
  protected abstract breakOff(): void;

  laneReady(lane: LanePort, connectorId: string): void {
    this.#lane = lane;
    this.#connectorId = connectorId;
    this.state = "sent";
    const frame = this.#frame!;
    this.#frame = null;
    lane.begin(frame, this.#follows, this);
    if (this.#follows === "body") this.startBody();
  }

  laneFailed(code: "no_connector" | "overloaded"): void {
    this.#fail(code);
  }

  informational(head: InformationalHead): void {
    if (this.state !== "sent") return;
    try {
      this.writeInformational(head);
    } catch {
      // Cannot be said in the user's protocol, and is only advice.
    }
  }

  response(head: ResponseHead): void {
    if (this.state !== "sent") return;
    // To a user who did not ask for it a 101 would make one response of all that follows.
    if (head.status === 101 && this.#follows !== "upgrade") return this.#unusable();
    this.state = "answered";
    this.#status = head.status;
    this.#hasBody = head.hasBody;
    this.#headMs = performance.now() - this.#begunAt;
    try {
      this.writeHead(head);
    } catch {
      return this.#unusable();
    }
    if (head.status === 101) this.#length = Number.POSITIVE_INFINITY;
    if (!head.hasBody) this.#complete([]);
  }

  /**
   * The response names the length of its body, which must then be true: on a connection that serves several users,
   * such as that of a load balancer, what is too much would be taken for the next response. Throws where it cannot be.
   */
  noteLength(text: string): void {
    const isFirst = this.#length === Number.POSITIVE_INFINITY;
    if (!isFirst || !/^\d{1,15}$/.test(text)) throw new Error(`Cannot send body of length "${text}"`);
    this.#length = Number(text);
    if (!this.#hasBody && this.#isShort()) {
      throw new Error(`Cannot send body of length ${text}: there is none`);
    }
  }

  data(bytes: Buffer): void {
    if (this.state !== "answered") return;
    this.#bytesOut += bytes.length;
    if (this.#bytesOut > this.#length) return this.#cut();
    if (this.writeBody(bytes)) this.#lane!.consumed(bytes.length);
    else this.#unread += bytes.length;
  }

  end(trailers: HeaderList, unread: number): void {
    this.#lingering = unread;
    this.#unread = 0;
    if (this.state === "answered") this.#complete(trailers);
  }

  abort(reason: Abort): void {
    this.#lane = null;
    if (this.state === "over") return;
    this.#fail(reason.code);
  }

  writable(): void {
    if (this.#follows !== "nothing" && this.state !== "over") this.resumeBody();
  }

  /** Bytes of the request body; false: wait for `resumeBody`. */
  protected sendBody(bytes: Buffer): boolean {
    this.#bytesIn += bytes.length;
    return this.#lane?.sendData(bytes) ?? true;
  }

  /** The request body has ended. */
  protected sendBodyEnd(trailers: HeaderList): void {
    const lane = this.#lane;
    if (this.state === "half_closed") {
      this.state = "over";
      this.#lane = null;
      this.#log(undefined);
    }
    lane?.sendEnd(trailers);
  }

  /** The user has taken all that was written. */
  protected userDrained(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.#lane?.consumed(bytes);
  }

  /** The user's side is closed, whether all was said or not. Further calls do nothing. */
  protected userClosed(): void {
    if (this.#lingering > 0) this.context.lanes.budget.give(this.#lingering);
    this.#lingering = 0;
    if (this.state === "over") return;
    if (this.state === "half_closed") {
      this.state = "over";
      this.#leave(CANCELLED);
      return this.#log(undefined);
    }
    if (this.state === "waiting") this.context.lanes.cancel(this.target.groupId, this);
    this.#leave(CANCELLED);
    this.#finish("cancelled");
  }

  #encode(head: RequestHead): Buffer | null {
    try {
      return encodeRequest(head);
    } catch {
      return null; // More than a frame may hold; nothing else can be wrong with it.
    }
  }

  #complete(trailers: HeaderList): void {
    if (this.#isShort()) return this.#cut();
    this.state = "over";
    try {
      this.writeEnd(trailers);
    } catch {
      this.state = "answered";
      return this.#cut();
    }
    if (this.#status === 101 && this.#lane?.isSending) {
      this.state = "half_closed";
      return;
    }
    // Whoever answers early does not want the rest of the request.
    if (this.#lane?.isSending) this.stopBody();
    this.#leave(NOT_WANTED);
    this.#log(undefined);
  }

  /** The head cannot be said in the user's protocol, and nothing of it was. */
  #unusable(): void {
    this.state = "sent";
    this.#leave(UNUSABLE);
    this.#fail(UNUSABLE.code);
  }

  /** The response is not what its head said, or cannot be said to its end: the user must not take it for whole. */
  #cut(): void {
    this.#leave(UNUSABLE);
    this.#fail(UNUSABLE.code);
  }

  /** True while bytes of a body of known length are missing. */
  #isShort(): boolean {
    if (this.#length === Number.POSITIVE_INFINITY || this.#bytesOut === this.#length) return false;
    return this.#method !== "HEAD" && this.#status !== 204 && this.#status !== 304;
  }

  #fail(code: string): void {
    const { state } = this;
    this.state = "over"; // What follows may close the user's side at once.
    if (state === "answered" || state === "half_closed") this.breakOff();
    else this.#refuse(code);
    if (this.#follows === "body") this.stopBody();
    this.#finish(code);
  }

  #refuse(code: string): void {
    try {
      this.writeError(answerTo(code));
    } catch {
      this.breakOff(); // Who calls may be a timer: nobody there could do anything about it.
    }
  }

  #finish(code: string): void {
    this.state = "over";
    const counted = countedAs(code);
    this.context.counters.failed(counted);
    this.#log(counted);
  }

  /** Lets go of the lane; aborts what is still open on it. */
  #leave(reason: Abort): void {
    const lane = this.#lane;
    this.#lane = null;
    this.#frame = null;
    if (lane !== null && (reason !== NOT_WANTED || lane.isSending)) lane.abort(reason);
  }

  /** The status that an error page has, for the log. */
  protected noteStatus(status: number): void {
    this.#status = status;
  }

  #log(error: string | undefined): void {
    const { counters, sessionLog } = this.context;
    const totalMs = performance.now() - this.#begunAt;
    counters.finished(this.#status, totalMs, this.#bytesIn, this.#bytesOut);
    if (!sessionLog.enabled) return;
    sessionLog.write({
      requestId: this.target.requestId,
      app: this.target.appName,
      connector: this.#connectorId,
      method: this.#method,
      host: this.target.host,
      path: this.target.path,
      status: this.#status,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      headMs: this.#headMs,
      totalMs,
      clientIp: this.target.clientIp,
      ...(error === undefined ? {} : { error }),
    });
  }
}
