import { type ClientHttp2Session, connect, constants } from "node:http2";

/** Where a user of HTTP/2 finds the app. */
export interface Http2Target {
  port: number;
  /** Name of the app's host. */
  host: string;
  /** Whom to trust, PEM. */
  ca: string;
}

/**
 * A user with HTTP/2: one session for all requests, another one once it has ended or was told to go. Requests that the
 * server says it has not begun (REFUSED_STREAM) count as failed, too: nothing is ever sent again.
 */
export class Http2User {
  readonly #target: Http2Target;
  #session: ClientHttp2Session | null = null;
  readonly #sessions = new Set<ClientHttp2Session>();

  constructor(target: Http2Target) {
    this.#target = target;
  }

  /** Sends one request; `over` is told once or more how it went. */
  shoot(method: string, timeoutMs: number, over: (outcome: number | string) => void): void {
    const stream = this.#ready().request({
      ":method": method,
      ":path": "/",
      ":authority": this.#target.host,
    }, { endStream: method !== "POST" });
    let status = 0;
    let hasEnded = false;
    const timer = setTimeout(() => {
      over("timeout");
      stream.close(constants.NGHTTP2_CANCEL);
    }, timeoutMs);
    stream.on("response", (headers) => status = Number(headers[":status"]));
    stream.on("data", () => {});
    stream.on("end", () => hasEnded = !stream.aborted);
    stream.on("error", (error: NodeJS.ErrnoException) =>
      // Node says which code a stream was reset with in words only.
      over(/NGHTTP2_\w+/.exec(error.message)?.[0] ?? error.code ?? error.message));
    stream.on("close", () => {
      clearTimeout(timer);
      over(hasEnded && stream.rstCode === 0 && status > 0 ? status : `h2 ${stream.rstCode}`);
    });
    if (method === "POST") stream.end("x");
  }

  /** Ends its sessions. */
  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #ready(): ClientHttp2Session {
    const known = this.#session;
    if (known !== null && !known.closed && !known.destroyed) return known;
    const { port, host, ca } = this.#target;
    const session = connect(`https://127.0.0.1:${port}`, { servername: host, ca });
    session.on("error", () => {});
    const leave = (): void => {
      if (this.#session === session) this.#session = null;
    };
    session.on("goaway", leave);
    session.on("close", () => {
      leave();
      this.#sessions.delete(session);
    });
    this.#sessions.add(session);
    return this.#session = session;
  }
}
