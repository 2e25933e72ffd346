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
import { affinityCookie } from "./affinity_cookie.ts";
import { answerTo, countedAs, isOutOfReach } from "./answer_codes.ts";
import { Attempts } from "./attempts.ts";
import type { IngressCode } from "./error_table.ts";
import type { IdleSweep } from "./idle_sweep.ts";
import type { AppGates } from "./app_gates.ts";
import { type AppLimits, declaredLength } from "./app_limits.ts";
import { type BoundedExchange, ExchangeBounds } from "./exchange_bounds.ts";
import type { FlushQueue } from "../../tunnel/flush_queue.ts";
import type { ExchangeHandler } from "../../tunnel/lane.ts";
import type { Maintenance } from "../app_traffic.ts";
import type { DataPlaneCounters } from "../metrics/counters.ts";
import type { LanePort, Lanes, LaneWaiter } from "../registry/port.ts";
import type { Spread } from "../registry/spread.ts";
import type { RequestFacts } from "./client_facts.ts";
import type { ViaNames } from "./request_marks.ts";
import type { RetryBudget } from "./retry_budget.ts";
import type { BodyFilter } from "./response/body_filter.ts";
import type { FilteredExchange } from "./response/body_rules.ts";
import { applyChanges } from "./response/header_changes.ts";
import type { ResponseRules } from "./response/response_rules.ts";
import { type HeaderTranslator, incomingHeaders } from "./response_headers.ts";
import { StatedLength } from "./stated_length.ts";
import { UserWatch, type WatchedUser } from "./user_watch.ts";

/** What every exchange of the ingress shares. */
export interface ExchangeContext {
  lanes: Lanes;
  counters: DataPlaneCounters;
  sessionLog: SessionLog;
  /** Flushes once a turn of the event loop. */
  turns: FlushQueue;
  gates: AppGates;
  /** How long users may neither send what they have begun to send nor read, in milliseconds; 0: for ever. */
  userIdleMs: number;
  /** Ends what is silent for too long. */
  idleSweep: IdleSweep;
  via: ViaNames;
  retries: RetryBudget;
}

/** Makes a whole error response: `headers` are names and values in turn. */
export type ErrorPages = (
  code: IngressCode,
  requestId: string,
  accept: string | undefined,
  method: string,
  maintenance?: Maintenance,
) => { readonly status: number; readonly headers: readonly string[]; readonly body: Uint8Array };

/** Which app a request is for, and what of it is for the logs. */
export interface ExchangeTarget {
  appId: string;
  appName: string;
  /** How its exchanges are spread over tunnels, and what keeps this user's on one connector; empty: nothing does. */
  spread: Spread;
  affinityKey: string;
  /** Configuration revision at which the app last changed. */
  revision: number;
  /** Null where the app has none. */
  limits: AppLimits | null;
  requestId: string;
  clientIp: string;
  scheme: string;
  host: string;
  path: string;
  /** What is done to the response; null where nothing is. */
  rules: ResponseRules | null;
  /** Host and scheme as the user knows them. */
  user: RequestFacts;
}

const CANCELLED: Abort = { code: "cancelled", begun: true };
const UNUSABLE: Abort = { code: "backend_bad_response", begun: true };
const IDLE: Abort = { code: "upgraded_idle", begun: true };
const RESTARTING: Abort = { code: "restarting", begun: true };
const TOO_LARGE: Abort = { code: "too_large", begun: true };
const TOO_LONG: Abort = { code: "exchange_timeout", begun: true };
const LOST_CODE = "tunnel_lost";
const STALLED: Abort = { code: "stalled", begun: true };
const USER_IDLE: Abort = { code: "user_idle", begun: true };
const NOT_WANTED: Abort = { code: "response_complete", begun: true };

/**
 * One exchange as the ingress carries it, whatever protocol the user speaks: from waiting for a lane to the last byte.
 * Subclasses say how a user's request is read and answered.
 */
export abstract class IngressExchange
  implements ExchangeHandler, LaneWaiter, FilteredExchange, BoundedExchange, WatchedUser {
  readonly target: ExchangeTarget;
  protected readonly context: ExchangeContext;
  /**
   * `answered`: the final head is out. `half_closed`: after an upgrade the backend has ended and the user may still send.
   * `over`: nothing more will be sent to the user.
   */
  protected state: "new" | "waiting" | "sent" | "answered" | "half_closed" | "over" = "new";
  #lane: LanePort | null = null;
  /** The request, until its response begins. */
  #attempts: Attempts | null = null;
  #method = "";
  #follows: RequestHead["follows"] = "nothing";
  #connectorId = "";
  #status = 0;
  #bytesIn = 0;
  readonly #length = new StatedLength();
  #hasBody = false;
  /** Changes the body on its way to the user; null where it goes as it comes. */
  #filter: BodyFilter | null = null;
  /** Of a response that is all here, but not yet through the filter. */
  #trailers: HeaderList = [];
  #headMs = 0;
  /** Response bytes that the user has not taken yet. */
  #unread = 0;
  /** Those of them that outlived the lane's exchange. */
  #lingering = 0;
  readonly #begunAt = performance.now();
  /** Holds it to the app's limits; null where there are none. */
  #bounds: ExchangeBounds | null = null;
  /** A request that waits for its turn. */
  #head: RequestHead | null = null;
  #mostBytesIn = Number.POSITIVE_INFINITY;
  /** Null while the user had nothing to do yet. */
  #userWatch: UserWatch | null = null;
  /** What is to come of the request body: `length`: as much as it said; `open`: nobody knows; `held`: the backend is to take it first. */
  #upload: "none" | "length" | "open" = "none";
  #uploadHeld = false;

  constructor(context: ExchangeContext, target: ExchangeTarget) {
    this.context = context;
    this.target = target;
  }

  get spread(): Spread {
    return this.target.spread;
  }

  get affinityKey(): string {
    return this.target.affinityKey;
  }

  get tried(): readonly string[] {
    return this.#attempts!.tried;
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
    const head: RequestHead = {
      appId: target.appId,
      revision: target.revision,
      method,
      target: backendTarget,
      headers,
      follows,
      msLeft: 0,
      client: { ip: target.clientIp, scheme: target.scheme },
      requestId: target.requestId,
    };
    if (target.limits === null) return this.#send(head);
    this.#head = head;
    this.#bound(target.limits);
  }

  #bound(limits: AppLimits): void {
    if (limits.maxRequestBytes > 0 && this.#follows === "body") {
      if (declaredLength(this.#head!.headers) > limits.maxRequestBytes) return this.#fail("too_large");
      this.#mostBytesIn = limits.maxRequestBytes;
    }
    this.#bounds = new ExchangeBounds(this.target.appId, limits, this.context.gates, this);
    this.#bounds.start();
  }

  mayBegin(msLeft: number): void {
    const head = this.#head!;
    this.#head = null;
    head.msLeft = msLeft;
    this.#send(head);
  }

  boundReached(code: "app_busy" | "exchange_timeout"): void {
    if (this.state === "over") return;
    if (this.state === "waiting") this.context.lanes.cancel(this);
    this.#leave(TOO_LONG);
    this.#fail(code);
  }

  #send(head: RequestHead): void {
    const frame = this.#encode(head);
    if (frame === null) return this.#fail("header_too_large");
    if (this.#follows === "body") this.#upload = declaredLength(head.headers) > 0 ? "length" : "open";
    this.#attempts = new Attempts(frame, this.#method, this.#follows);
    this.state = "waiting";
    this.context.retries.earn();
    this.context.lanes.acquire(this);
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
    const attempts = this.#attempts!;
    attempts.send(lane, this);
    if (this.#follows !== "body" || attempts.hasEnded) return;
    if (attempts.count > 1) return this.resumeBody();
    this.#watchUser().start();
    this.startBody();
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
    this.#attempts = null;
    this.#status = head.status;
    this.#hasBody = head.hasBody;
    this.#headMs = performance.now() - this.#begunAt;
    const { lanes } = this.context;
    lanes.answered(this.spread, this.#connectorId, this.#headMs);
    if (this.spread.affinity === "cookie") affinityCookie(head.headers, this.target, this.#connectorId);
    if (head.status === 101) this.#bounds?.upgraded();
    try {
      const { rules } = this.target;
      if (rules !== null && rules.body !== null && this.#follows !== "upgrade") {
        this.#filter = rules.body.apply(head, this, this.context.turns);
      }
      this.writeHead(head);
    } catch {
      return this.#unusable();
    }
    if (head.status === 101) this.#length.forget();
    if (!head.hasBody) this.#complete([]);
  }

  /**
   * The response names the length of its body, which must then be true: on a connection that serves several users,
   * such as that of a load balancer, what is too much would be taken for the next response. Throws where it cannot be.
   */
  noteLength(text: string): void {
    this.#length.state(text);
    if (!this.#hasBody && this.#isShort()) {
      throw new Error(`Cannot send body of length ${text}: there is none`);
    }
  }

  data(bytes: Buffer): void {
    if (this.state !== "answered") return;
    if (!this.#length.add(bytes.length)) return this.#cut();
    const taken = this.#filter === null ? this.writeBody(bytes) : this.#filter.write(bytes);
    if (taken) this.#lane?.consumed(bytes.length);
    else this.#noteUnread(bytes.length);
  }

  end(trailers: HeaderList, unread: number): void {
    this.#lingering = unread;
    this.#unread = 0;
    if (this.state !== "answered") return;
    if (this.#filter === null) return this.#complete(trailers);
    if (this.#isShort()) return this.#cut();
    // The lane may carry the next exchange while the last of this one is still in the filter.
    if (this.#lane?.isSending) this.stopBody();
    this.#leave(NOT_WANTED);
    this.#trailers = trailers;
    this.#filter.end();
  }

  abort(reason: Abort): void {
    this.#lane = null;
    if (this.state === "over") return;
    if (isOutOfReach(reason)) this.context.lanes.unreachable(this.spread, this.#connectorId);
    if (this.#mayRepeat(reason)) this.#repeat();
    else this.#fail(reason.code);
  }

  stalled(): void {
    if (!this.#mayRepeat(STALLED)) return;
    this.#lane?.abort(STALLED);
    this.#lane = null;
    this.#repeat();
  }

  writable(): void {
    this.#uploadHeld = false;
    if (this.#follows !== "nothing" && this.state !== "over") this.resumeBody();
  }

  /** Bytes of the request body; false: wait for `resumeBody`. */
  protected sendBody(bytes: Buffer): boolean {
    this.#bytesIn += bytes.length;
    if (this.#bytesIn > this.#mostBytesIn) return this.#tooLarge();
    this.#attempts?.keep(bytes);
    this.#userWatch?.active();
    if (this.state === "waiting") return this.#keptWhole();
    if (this.#lane === null || this.#lane.sendData(bytes)) return true;
    this.#uploadHeld = true;
    return false;
  }

  #watchUser(): UserWatch {
    const { idleSweep, userIdleMs } = this.context;
    return this.#userWatch ??= new UserWatch(idleSweep, userIdleMs, this);
  }

  userSilent(): void {
    this.#leave(USER_IDLE);
    if (this.state !== "over") return this.#fail(USER_IDLE.code);
    this.context.counters.failed(USER_IDLE.code);
    this.breakOff();
  }

  get isAwaited(): boolean {
    if (this.#unread > 0 || this.#lingering > 0) return true;
    if (this.#uploadHeld || this.state === "waiting") return false;
    // A body of no stated length may be one side of a conversation once the response has begun.
    return this.#upload === "length" || (this.#upload === "open" && this.state === "sent");
  }

  #noteUnread(bytes: number): void {
    this.#unread += bytes;
    this.#watchUser().unread(this.#unread);
  }

  #tooLarge(): boolean {
    if (this.state !== "over") {
      this.#leave(TOO_LARGE);
      this.#fail(TOO_LARGE.code);
    }
    return true;
  }

  /** The request body has ended. */
  protected sendBodyEnd(trailers: HeaderList): void {
    const lane = this.#lane;
    this.#upload = "none";
    this.#attempts?.keepEnd(trailers);
    if (this.state === "half_closed") {
      this.state = "over";
      this.#lane = null;
      this.#log(undefined);
    }
    lane?.sendEnd(trailers);
  }

  get method(): string {
    return this.#method;
  }

  get user(): RequestFacts {
    return this.target.user;
  }

  /** Of the user's request, where its response can be compressed. */
  get acceptEncoding(): string | undefined {
    return undefined;
  }

  filtered(bytes: Buffer): boolean {
    return this.state !== "answered" || this.writeBody(bytes);
  }

  filterReady(): void {
    this.#grantUnread();
  }

  filterEnded(): void {
    this.#filter = null;
    if (this.state === "answered") this.#complete(this.#trailers);
  }

  filterFailed(): void {
    if (this.state === "answered") this.#cut();
  }

  /** A value of a header that may speak of the backend's own URLs. */
  translate(name: string, value: string): string {
    return this.target.rules!.translation!.translate(name, value, this.target.user);
  }

  /** Who translates headers; undefined where they stay as they are. */
  protected get translator(): HeaderTranslator | undefined {
    return this.target.rules === null || this.target.rules.translation === null ? undefined : this;
  }

  /** The headers of the final response as the user gets them, in the spelling of HTTP/1.1. */
  protected finalHeaders(head: ResponseHead): HeaderList {
    const headers = incomingHeaders(head.headers, this, this.translator);
    headers.push("Via", this.context.via.http11);
    const { rules } = this.target;
    if (rules !== null && rules.changes !== null) applyChanges(headers, rules.changes);
    return headers;
  }

  /** The user has taken all that was written. */
  protected userDrained(): void {
    this.#userWatch?.active();
    if (this.#filter !== null) this.#filter.resume();
    else this.#grantUnread();
  }

  #grantUnread(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.#lane?.consumed(bytes);
  }

  /** The user's side is closed, whether all was said or not. Further calls do nothing. */
  protected userClosed(): void {
    this.#userWatch?.stop();
    if (this.#lingering > 0) this.context.lanes.budget.give(this.#lingering);
    this.#lingering = 0;
    if (this.state === "over") return;
    if (this.state === "half_closed") {
      this.state = "over";
      this.#leave(CANCELLED);
      return this.#log(undefined);
    }
    if (this.state === "waiting") this.context.lanes.cancel(this);
    this.#leave(CANCELLED);
    this.#finish("cancelled");
  }

  /** The user of an upgraded connection was told in its own protocol that it ends now. */
  protected goneAway(): void {
    this.state = "over";
    this.#leave(RESTARTING);
    this.#log(undefined);
  }

  /** Nothing has passed on an upgraded connection for its time: ends it, both ways. */
  protected expire(): void {
    if (this.state !== "answered" && this.state !== "half_closed") return;
    this.#leave(IDLE);
    this.#fail(IDLE.code);
  }

  #encode(head: RequestHead): Buffer | null {
    try {
      return encodeRequest(head);
    } catch {
      return null; // More than a frame may hold; nothing else can be wrong with it.
    }
  }

  /** Whether the request may be sent again: nothing was answered yet, and there is somebody else, or soon may be. */
  #mayRepeat(reason: Abort): boolean {
    if (this.state !== "sent" || this.#attempts?.mayRepeat(reason) !== true) return false;
    this.#attempts.failedOn(this.#connectorId);
    const { lanes, retries } = this.context;
    return (reason.code === LOST_CODE || lanes.hasOther(this)) && retries.spend();
  }

  /** Sends the request again, on another tunnel where there is one. */
  #repeat(): void {
    this.state = "waiting";
    this.context.counters.retries += 1;
    // A tunnel that is lost loses its lanes one by one: when all are gone it is no longer there to be chosen.
    setImmediate(() => {
      if (this.state === "waiting") this.context.lanes.acquire(this);
    });
  }

  /** More of the body has come while the request waits to be sent again. False: no more, please. */
  #keptWhole(): boolean {
    if (this.#attempts!.isWhole) return false;
    this.context.lanes.cancel(this);
    this.#fail(LOST_CODE);
    return true;
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
    return this.#length.isShort && this.#method !== "HEAD" && this.#status !== 204 && this.#status !== 304;
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
    this.#filter?.destroy();
    this.#filter = null;
    const counted = countedAs(code);
    this.context.counters.failed(counted);
    this.#log(counted);
  }

  /** Lets go of the lane; aborts what is still open on it. */
  #leave(reason: Abort): void {
    const lane = this.#lane;
    this.#lane = null;
    this.#attempts = null;
    if (lane !== null && (reason !== NOT_WANTED || lane.isSending)) lane.abort(reason);
  }

  /** The status that an error page has, for the log. */
  protected noteStatus(status: number): void {
    this.#status = status;
  }

  #log(error: string | undefined): void {
    this.#bounds?.over();
    if (this.#lingering === 0) this.#userWatch?.stop();
    const { counters, sessionLog } = this.context;
    const totalMs = performance.now() - this.#begunAt;
    counters.finished(this.#status, totalMs, this.#bytesIn, this.#length.seen);
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
      bytesOut: this.#length.seen,
      headMs: this.#headMs,
      totalMs,
      clientIp: this.target.clientIp,
      ...(error === undefined ? {} : { error }),
    });
  }
}
