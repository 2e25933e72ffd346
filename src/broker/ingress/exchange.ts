import { performance } from "node:perf_hooks";
import type { Abort, HeaderList, InformationalHead, ResponseHead } from "../../protocol/heads.ts";
import { affinityCookie } from "./affinity_cookie.ts";
import { answerTo, countedAs } from "./answer_codes.ts";
import type { RequestFacts } from "./client_facts.ts";
import { DispatchedRequest, NOT_WANTED } from "./dispatched_request.ts";
import type { IngressCode } from "./error_table.ts";
import type { BodyFilter } from "./response/body_filter.ts";
import type { FilteredExchange } from "./response/body_rules.ts";
import { applyChanges } from "./response/header_changes.ts";
import { type HeaderTranslator, incomingHeaders } from "./response_headers.ts";
import { StatedLength } from "./stated_length.ts";

const NO_TRAILERS: HeaderList = [];
const CANCELLED: Abort = { code: "cancelled", begun: true };
const UNUSABLE: Abort = { code: "backend_bad_response", begun: true };
const IDLE: Abort = { code: "upgraded_idle", begun: true };
const RESTARTING: Abort = { code: "restarting", begun: true };
const USER_IDLE: Abort = { code: "user_idle", begun: true };

/**
 * One exchange as the ingress carries it, whatever protocol the user speaks, from its response's head to the last byte;
 * subclasses say how a user's request is read and answered.
 */
export abstract class IngressExchange extends DispatchedRequest implements FilteredExchange {
  #status = 0;
  readonly #length = new StatedLength();
  #hasBody = false;
  /** Changes the body on its way to the user; null where it goes as it comes. */
  #filter: BodyFilter | null = null;
  /** The user has to take what came out of the filter before more of it does. */
  #filterBlocked = false;
  /** Of a response that is all here, but not yet through the filter. */
  #trailers = NO_TRAILERS;
  #headMs = 0;
  /** Response bytes that the user has not taken yet. */
  #unread = 0;
  /** Those of them that outlived the lane's exchange. */
  #lingering = 0;
  readonly #begunAt = performance.now();

  protected abstract writeInformational(head: InformationalHead): void;
  protected abstract writeHead(head: ResponseHead): void;
  /** False: the user does not keep up; `userDrained` follows. */
  protected abstract writeBody(bytes: Buffer): boolean;
  protected abstract writeEnd(trailers: HeaderList): void;
  /** Answers with an error page; no head is out yet. */
  protected abstract writeError(code: IngressCode): void;
  /** Breaks the response off, so that the user can tell. */
  protected abstract breakOff(): void;

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
    if (head.status === 101 && this.follows !== "upgrade") return this.#unusable();
    this.state = "answered";
    this.forget();
    this.#status = head.status;
    this.#hasBody = head.hasBody;
    const now = performance.now();
    this.#headMs = now - this.#begunAt;
    const { lanes } = this.context;
    lanes.answered(this.spread, this.connectorId, now - this.sentAt);
    if (this.spread.affinity === "cookie") affinityCookie(head.headers, this.target, this.connectorId);
    if (head.status === 101) this.bounds?.upgraded();
    try {
      const { rules } = this.target;
      if (rules !== null && rules.body !== null && this.follows !== "upgrade") {
        this.#filter = rules.body.apply(head, this, this.context.turns);
      }
      this.writeHead(head);
    } catch {
      return this.#unusable();
    }
    if (!head.hasBody) this.#complete(NO_TRAILERS);
  }

  /**
   * The response names the length of its body, which must then be true: on a connection that serves several users,
   * such as that of a load balancer, what is too much would be taken for the next response. Throws where it cannot be.
   * False where no length may be said (RFC 9110 section 8.6): some clients would wait for the body. A 205 has none, either
   * (section 15.3.6), and with HTTP/2 cannot have one.
   */
  noteLength(text: string): boolean {
    if (this.#status === 204 || this.#status === 101 || (this.#status === 205 && text !== "0")) return false;
    this.#length.state(text);
    if (!this.#hasBody && this.#isShort()) {
      throw new Error(`Cannot send body of length ${text}: there is none`);
    }
    return true;
  }

  data(bytes: Buffer): void {
    if (this.state !== "answered") return;
    if (!this.#length.add(bytes.length)) return this.#cut();
    const taken = this.#filter === null ? this.writeBody(bytes) : this.#filter.write(bytes);
    if (taken) return this.lane?.consumed(bytes.length);
    this.#unread += bytes.length;
    if (this.#filter === null) this.watchUser().unread(this.#unread);
  }

  end(trailers: HeaderList, unread: number): void {
    this.#lingering = unread;
    this.#unread = 0;
    if (this.state !== "answered") return;
    if (this.#filter === null) return this.#complete(trailers);
    if (this.#isShort()) return this.#cut();
    // The lane may carry the next exchange while the last of this one is still in the filter.
    this.#leaveWhole();
    this.#trailers = trailers;
    this.#filter.end();
  }

  userSilent(): void {
    this.leave(USER_IDLE);
    if (this.state !== "over") return this.fail(USER_IDLE.code);
    this.context.counters.failed(USER_IDLE.code);
    this.breakOff();
  }

  get isAwaited(): boolean {
    if (this.#filter !== null) return this.#filterBlocked || this.isUploadAwaited;
    if (this.#unread > 0 || this.#lingering > 0) return true;
    return this.state === "over" ? this.untaken > 0 : this.isUploadAwaited;
  }

  /** Bytes that were written and wait for the user in this process. */
  protected abstract readonly untaken: number;

  get user(): RequestFacts {
    return this.target.user;
  }

  /** Of the user's request, where its response can be compressed. */
  get acceptEncoding(): string | undefined {
    return undefined;
  }

  filtered(bytes: Buffer): boolean {
    if (this.state !== "answered" || this.writeBody(bytes)) return true;
    this.#filterBlocked = true;
    this.watchUser().start();
    return false;
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
    this.userWatch?.active();
    this.#filterBlocked = false;
    if (this.#filter !== null) this.#filter.resume();
    else this.#grantUnread();
  }

  #grantUnread(): void {
    const bytes = this.#unread;
    this.#unread = 0;
    if (bytes > 0) this.lane?.consumed(bytes);
  }

  /** The user's side is closed, whether all was said or not. Further calls do nothing. */
  protected userClosed(): void {
    this.userWatch?.stop();
    if (this.#lingering > 0) this.context.lanes.budget.give(this.#lingering);
    this.#lingering = 0;
    if (this.state === "over") return;
    if (this.state === "half_closed") {
      this.state = "over";
      this.leave(CANCELLED);
      return this.#log(undefined);
    }
    this.leave(CANCELLED);
    this.#finish("cancelled");
  }

  /** The user of an upgraded connection was told in its own protocol that it ends now. */
  protected goneAway(): void {
    this.state = "over";
    this.leave(RESTARTING);
    this.#log(undefined);
  }

  /** Nothing has passed on an upgraded connection for its time: ends it, both ways. */
  protected expire(): void {
    if (this.state !== "answered" && this.state !== "half_closed") return;
    this.endWith(IDLE);
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
    if (this.#status === 101 && this.lane?.isSending) {
      this.state = "half_closed";
      return;
    }
    this.#leaveWhole();
    this.#log(undefined);
    // What is all written is not all taken.
    const { untaken } = this;
    if (untaken > 0) this.watchUser().unread(untaken);
  }

  /** The response is all here. Whoever answers early does not want the rest of the request. */
  #leaveWhole(): void {
    if (this.lane?.isSending) this.stopBody();
    this.leave(NOT_WANTED);
  }

  /** The head cannot be said in the user's protocol, and nothing of it was. */
  #unusable(): void {
    this.state = "sent";
    this.endWith(UNUSABLE);
  }

  /** The response is not what its head said, or cannot be said to its end: the user must not take it for whole. */
  #cut(): void {
    this.endWith(UNUSABLE);
  }

  /** True while bytes of a body of known length are missing. */
  #isShort(): boolean {
    return this.#length.isShort && this.method !== "HEAD" && this.#status !== 304;
  }

  protected fail(code: string): void {
    const { state } = this;
    this.state = "over"; // What follows may close the user's side at once.
    if (state === "answered" || state === "half_closed") this.breakOff();
    else this.#refuse(code);
    if (this.follows === "body") this.stopBody();
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
    this.forget();
    this.#filter?.destroy();
    this.#filter = null;
    const counted = countedAs(code);
    this.context.counters.failed(counted);
    this.#log(counted);
  }

  /** The status that an error page has, for the log. */
  protected noteStatus(status: number): void {
    this.#status = status;
  }

  protected finished(): void {
    this.#log(undefined);
  }

  #log(error: string | undefined): void {
    this.bounds?.over();
    if (this.#lingering === 0) this.userWatch?.stop();
    const { counters, sessionLog } = this.context;
    const totalMs = performance.now() - this.#begunAt;
    counters.finished(this.#status, totalMs, this.bytesIn, this.#length.seen);
    if (!sessionLog.enabled) {
      if (error !== undefined && this.#status >= 500) this.#noteFailure(error, totalMs);
      return;
    }
    sessionLog.write({
      requestId: this.target.requestId,
      app: this.target.appName,
      connector: this.connectorId,
      method: this.method,
      host: this.target.host,
      path: this.target.path,
      status: this.#status,
      bytesIn: this.bytesIn,
      bytesOut: this.#length.seen,
      headMs: this.#headMs,
      totalMs,
      clientIp: this.target.clientIp,
      ...(error === undefined ? {} : { error }),
    });
  }

  #noteFailure(code: string, totalMs: number): void {
    const { requestId, appName } = this.target;
    this.context.failures.note({
      code,
      status: this.#status,
      requestId,
      app: appName,
      connector: this.connectorId,
      totalMs,
    });
  }
}
