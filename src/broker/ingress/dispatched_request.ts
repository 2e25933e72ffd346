import { performance } from "node:perf_hooks";
import {
  type Abort,
  encodeRequest,
  type HeaderList,
  type InformationalHead,
  type RequestHead,
  type ResponseHead,
} from "../../protocol/heads.ts";
import type { ExchangeHandler } from "../../tunnel/exchange_handler.ts";
import type { LanePort, LaneWaiter } from "../registry/port.ts";
import type { Spread } from "../registry/spread.ts";
import { isExhausted, isOutOfReach } from "./answer_codes.ts";
import { type AppLimits, declaredLength } from "./app_limits.ts";
import { Attempts } from "./attempts.ts";
import { type BoundedExchange, ExchangeBounds } from "./exchange_bounds.ts";
import type { ExchangeContext, ExchangeTarget } from "./exchange_context.ts";
import { UserWatch, type WatchedUser } from "./user_watch.ts";

const TOO_LARGE: Abort = { code: "too_large", begun: true };
const TOO_LONG: Abort = { code: "exchange_timeout", begun: true };
const STALLED: Abort = { code: "stalled", begun: true };
const LOST_CODE = "tunnel_lost";
/** The connector does not know the app, which may belong to another group by now. */
const UNKNOWN_CODE = "app_unknown";
/** Until a lost tunnel is no longer there to be chosen, and a change has come to where it matters, in milliseconds. */
const SETTLE_MS = 100;
/** The response is whole, and nobody wants the rest of the request. */
export const NOT_WANTED: Abort = { code: "response_complete", begun: true };

/**
 * The request's half of an exchange: waits for its turn and for a lane, sends head and body, and sends them again on
 * another tunnel where that does no harm. What becomes of the response is the other half's, `IngressExchange`.
 */
export abstract class DispatchedRequest implements ExchangeHandler, LaneWaiter, BoundedExchange, WatchedUser {
  readonly target: ExchangeTarget;
  /** Of the user's request, as soon as it is on its way. */
  method = "";
  protected readonly context: ExchangeContext;
  /**
   * `answered`: the final head is out. `half_closed`: after an upgrade the backend has ended and the user may still send.
   * `over`: nothing more will be sent to the user.
   */
  protected state: "new" | "waiting" | "sent" | "answered" | "half_closed" | "over" = "new";
  protected lane: LanePort | null = null;
  protected connectorId = "";
  protected follows: RequestHead["follows"] = "nothing";
  /** When the lane was there that carries it, milliseconds; for those who balance by it. */
  protected sentAt = 0;
  /** Bytes of the request body so far. */
  protected bytesIn = 0;
  /** Holds it to the app's limits; null where there are none. */
  protected bounds: ExchangeBounds | null = null;
  /** Null while the user had nothing to do yet. */
  protected userWatch: UserWatch | null = null;
  /** The request, until its response begins. */
  #attempts: Attempts | null = null;
  /** A request that waits for its turn. */
  #head: RequestHead | null = null;
  #mostBytesIn = Number.POSITIVE_INFINITY;
  /** What is to come of the request body: `length`: as much as it said; `open`: nobody knows. */
  #upload: "none" | "length" | "open" = "none";
  /** The backend is to take what it has before more is sent. */
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

  /** Starts to read the request body: `sendBody`, then `sendBodyEnd`. */
  protected abstract startBody(): void;
  /** Lets the request body flow again. */
  protected abstract resumeBody(): void;
  /** The response is out and nobody wants the rest of the request body, of which some may still come. */
  protected abstract stopBody(): void;
  /** Ends the exchange with an error: an error page where no head is out, else so that the user can tell. */
  protected abstract fail(code: string): void;
  /** All is said, both ways: to be called once. */
  protected abstract finished(): void;
  abstract userSilent(): void;
  abstract readonly isAwaited: boolean;
  abstract informational(head: InformationalHead): void;
  abstract response(head: ResponseHead): void;
  abstract data(bytes: Buffer): void;
  abstract end(trailers: HeaderList, unread: number): void;

  /** Hands the request to the tunnels. */
  protected dispatch(
    method: string,
    backendTarget: string,
    headers: HeaderList,
    follows: RequestHead["follows"],
  ): void {
    const { target, context } = this;
    this.method = method;
    this.follows = follows;
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
    if (limits.maxRequestBytes > 0 && this.follows === "body") {
      if (declaredLength(this.#head!.headers) > limits.maxRequestBytes) return this.fail("too_large");
      this.#mostBytesIn = limits.maxRequestBytes;
    }
    this.bounds = new ExchangeBounds(this.target.appId, limits, this.context.gates, this);
    this.bounds.start();
  }

  mayBegin(msLeft: number): void {
    const head = this.#head!;
    this.#head = null;
    head.msLeft = msLeft;
    this.#send(head);
  }

  boundReached(code: "app_busy" | "exchange_timeout"): void {
    if (this.state === "over") return;
    this.leave(TOO_LONG);
    this.fail(code);
  }

  #send(head: RequestHead): void {
    const frame = this.#encode(head);
    if (frame === null) return this.fail("header_too_large");
    if (this.follows === "body") this.#upload = declaredLength(head.headers) > 0 ? "length" : "open";
    this.#attempts = new Attempts(frame, this.method, this.follows, this.context.kept);
    this.state = "waiting";
    this.target.retries.earn();
    this.context.lanes.acquire(this);
  }

  laneReady(lane: LanePort, connectorId: string): void {
    this.lane = lane;
    this.connectorId = connectorId;
    this.state = "sent";
    if (this.spread.balancing === "latency") this.sentAt = performance.now();
    const attempts = this.#attempts!;
    attempts.send(lane, this);
    if (this.follows !== "body" || attempts.hasEnded) return;
    if (attempts.count > 1) return this.resumeBody();
    this.watchUser().start();
    this.startBody();
  }

  laneFailed(code: "no_connector" | "overloaded"): void {
    this.fail(code);
  }

  abort(reason: Abort): void {
    this.lane = null;
    if (this.state === "over") return;
    const { lanes } = this.context;
    if (isOutOfReach(reason)) lanes.unreachable(this.spread, this.connectorId);
    else if (isExhausted(reason)) lanes.exhausted(this.connectorId);
    if (this.#mayRepeat(reason)) this.#repeat();
    else this.fail(reason.code);
  }

  stalled(): void {
    if (!this.#mayRepeat(STALLED)) return;
    this.lane?.abort(STALLED);
    this.lane = null;
    this.#repeat();
  }

  writable(): void {
    this.#uploadHeld = false;
    if (this.follows !== "nothing" && this.state !== "over") this.resumeBody();
  }

  /** Bytes of the request body; false: wait for `resumeBody`. */
  protected sendBody(bytes: Buffer): boolean {
    this.bytesIn += bytes.length;
    if (this.bytesIn > this.#mostBytesIn) return this.#tooLarge();
    this.#attempts?.keep(bytes);
    this.userWatch?.active();
    if (this.state === "waiting") return this.#keptWhole();
    if (this.lane === null || this.lane.sendData(bytes)) return true;
    this.#uploadHeld = true;
    return false;
  }

  #tooLarge(): boolean {
    if (this.state !== "over") this.endWith(TOO_LARGE);
    return true;
  }

  /** The request body has ended. */
  protected sendBodyEnd(trailers: HeaderList): void {
    const lane = this.lane;
    this.#upload = "none";
    this.#attempts?.keepEnd(trailers);
    if (this.state === "half_closed") {
      this.state = "over";
      this.lane = null;
      this.finished();
    }
    lane?.sendEnd(trailers);
  }

  /** True while the user is to send more of the body. */
  protected get isUploadAwaited(): boolean {
    if (this.#uploadHeld || this.state === "waiting") return false;
    // A body of no stated length may be one side of a conversation once the response has begun.
    return this.#upload === "length" || (this.#upload === "open" && this.state === "sent");
  }

  /** The request will not be sent again. */
  protected forget(): void {
    this.#attempts?.letGo();
    this.#attempts = null;
  }

  /** Watches the user, who has something to do from now on. */
  protected watchUser(): UserWatch {
    const { idleSweep, userIdleMs } = this.context;
    return this.userWatch ??= new UserWatch(idleSweep, userIdleMs, this);
  }

  /** Ends the exchange for this reason, towards the user and on its lane. */
  protected endWith(reason: Abort): void {
    this.leave(reason);
    this.fail(reason.code);
  }

  /** Lets go of the lane, and aborts what is still open on it, or of the place among those who wait for one. */
  protected leave(reason: Abort): void {
    if (this.state === "waiting") this.context.lanes.cancel(this);
    const lane = this.lane;
    this.lane = null;
    this.forget();
    if (lane !== null && (reason !== NOT_WANTED || lane.isSending)) lane.abort(reason);
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
    this.#attempts.failedOn(this.connectorId);
    const { lanes } = this.context;
    // A stuck tunnel has left already: another one of the same connector is as good as any.
    const isElsewhere = reason === STALLED
      ? lanes.hasAny(this)
      : reason.code === LOST_CODE || reason.code === UNKNOWN_CODE || lanes.hasOther(this);
    return isElsewhere && this.target.retries.spend();
  }

  /** Sends the request again, on another tunnel where there is one. */
  #repeat(): void {
    this.state = "waiting";
    this.#uploadHeld = false;
    this.context.counters.retries += 1;
    const again = (): void => {
      if (this.state !== "waiting") return;
      this.#followApp();
      this.context.lanes.acquire(this);
    };
    this.#followApp();
    // A tunnel that is lost loses its lanes one by one: until all are gone it may be chosen again, and again in vain.
    if (this.context.lanes.hasOther(this)) setImmediate(again);
    else this.#attempts!.wait(SETTLE_MS, again);
  }

  /** The app may have been moved to another group since the request came. */
  #followApp(): void {
    const { spread, appId } = this.target;
    const current = this.context.router.current().spreadOf(appId);
    if (current !== undefined && current.groupId !== spread.groupId) this.target.spread = current;
  }

  /** More of the body has come while the request waits to be sent again. False: no more, please. */
  #keptWhole(): boolean {
    if (this.#attempts!.isWhole) return false;
    this.context.lanes.cancel(this);
    this.fail(LOST_CODE);
    return true;
  }
}
