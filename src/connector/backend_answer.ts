import type { HeaderList, RequestHead } from "../protocol/heads.ts";
import type { BackendFailure, BackendHandler } from "./backend/port.ts";
import type { LaneServer } from "./lane_server.ts";

/** Longest time for an exchange, in milliseconds: a day. */
const LONGEST_MS = 86_400_000;
/** Informational responses that one exchange may have: nothing holds them back where the user does not read. */
const MAX_INFORMATIONAL = 100;

/** What a backend says of one exchange, put on the lane. */
export class BackendAnswer implements BackendHandler {
  readonly #server: LaneServer;
  readonly #head: RequestHead;
  readonly #begunAt: number;
  #status = 0;
  #bytesOut = 0;
  #headMs = 0;
  #informed = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Request body bytes handed to the backend. */
  bytesIn = 0;

  constructor(server: LaneServer, head: RequestHead) {
    this.#server = server;
    this.#head = head;
    this.#begunAt = server.now();
  }

  /** Ends the exchange after so many milliseconds, unless it is over or upgraded by then. */
  endIn(ms: number): void {
    // More than a day is no limit of ours, and more than a timer can hold.
    this.#timer = setTimeout(() => {
      this.#endWith("exchange_timeout");
    }, Math.min(ms, LONGEST_MS));
  }

  informational(status: number, headers: HeaderList): void {
    if (!this.#server.isCurrent(this)) return;
    this.#informed += 1;
    if (status < 100 || this.#informed > MAX_INFORMATIONAL) return this.#endWith("backend_bad_response");
    this.#server.lane.sendInformational({ status, headers });
  }

  response(status: number, reason: string, headers: HeaderList, ended = false): void {
    if (!this.#server.isCurrent(this)) return;
    // Neither the protocol nor a user's could say these.
    const isSayable = status === 101 || (status >= 200 && status <= 999);
    if (!isSayable || !isPlainlyCoded(headers)) return this.#endWith("backend_bad_response");
    if (status === 101) this.#stopTimer();
    this.#status = status;
    this.#headMs = this.#server.now() - this.#begunAt;
    const hasBody = !ended && status !== 204 && status !== 304 && this.#head.method !== "HEAD";
    this.#server.lane.sendResponse({ status, reason, headers, hasBody });
  }

  data(chunk: Uint8Array): boolean {
    if (!this.#server.isCurrent(this)) return true;
    this.#bytesOut += chunk.length;
    return this.#server.lane.sendData(chunk as Buffer);
  }

  end(trailers: HeaderList): void {
    if (this.#status === 101) {
      // Half-closed: the user may still send.
      if (this.#server.isCurrent(this)) this.#server.lane.sendEnd(trailers);
    } else if (this.#server.answered(this)) {
      this.#server.lane.sendEnd(trailers);
    }
    this.#log(undefined);
  }

  failed(failure: BackendFailure): void {
    this.#server.tunnel.backendFailed(this.#head.appId, failure.code);
    if (this.#server.answered(this)) this.#server.lane.abort({ code: failure.code, begun: failure.begun });
    this.#log(failure.code);
  }

  drained(): void {
    this.#server.drained(this);
  }

  /** The user or the tunnel went away first. */
  aborted(code: string): void {
    this.#log(code);
  }

  #endWith(code: string): void {
    this.#server.endWith(this, code);
    this.#log(code);
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #log(error: string | undefined): void {
    if (this.#timer !== null) this.#stopTimer();
    const { sessionLog, connectorId } = this.#server.tunnel;
    if (!sessionLog.enabled) return;
    const { requestId, appId, method, target, headers, client } = this.#head;
    const totalMs = this.#server.now() - this.#begunAt;
    const host = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "host");
    sessionLog.write({
      requestId,
      app: appId,
      connector: connectorId,
      method,
      host: headers[host + 1] ?? "",
      path: target.split("?", 1)[0]!,
      status: this.#status,
      bytesIn: this.bytesIn,
      bytesOut: this.#bytesOut,
      headMs: this.#headMs,
      totalMs,
      clientIp: client.ip,
      ...(error === undefined ? {} : { error }),
    });
  }
}

/**
 * True where the body is in no transfer coding, or once in chunks, which is taken off here. Of any other nobody behind would
 * know, and it would end with the connection.
 */
function isPlainlyCoded(headers: HeaderList): boolean {
  let codings = 0;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length !== 17 || headers[i]!.toLowerCase() !== "transfer-encoding") continue;
    codings += 1;
    if (codings > 1 || headers[i + 1]!.toLowerCase() !== "chunked") return false;
  }
  return true;
}
