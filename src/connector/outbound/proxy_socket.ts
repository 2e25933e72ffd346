import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { formatHostPort, type HostPort } from "../../protocol/address.ts";
import { readAnswer } from "./proxy_answer.ts";
import { type ProxyCode, ProxyError } from "./errors.ts";
import { describeProxy, type Proxy } from "./proxy.ts";

/** How long to wait for a proxy. */
export interface ProxyWait {
  /** Milliseconds that each step (connect, TLS with the proxy, its answer) may take. */
  stepMs: number;
  signal?: AbortSignal | undefined;
}

type Step = "proxy connect" | "proxy tls" | "proxy answer";

/** A connection to `target` through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6). Throws `ProxyError`; nothing stays open then. */
export async function connectThroughProxy(proxy: Proxy, target: HostPort, wait: ProxyWait): Promise<Socket> {
  const attempt = new Attempt(proxy, wait);
  const { host, port } = proxy;
  const tcp = connectTcp({ host, port, noDelay: true, keepAlive: true });
  await attempt.event(tcp, "connect", "proxy connect");
  const socket = proxy.tls ? await secure(attempt, proxy, tcp) : tcp;
  await attempt.step(socket, "proxy answer", async () => {
    socket.write(connectRequest(proxy, target));
    const { status, schemes } = await readAnswer(socket);
    if (status < 200 || status > 299) throw attempt.refusal(status, schemes, target);
  });
  return socket;
}

async function secure(attempt: Attempt, proxy: Proxy, tcp: Socket): Promise<Socket> {
  const name = isIP(proxy.host) === 0 ? { servername: proxy.host } : {};
  let tls: Socket;
  try {
    tls = connectTls({ socket: tcp, host: proxy.host, ca: proxy.ca, ALPNProtocols: ["http/1.1"], ...name });
  } catch (cause) {
    destroy(tcp);
    throw attempt.failure(
      "proxy_ca_unreadable",
      `its certificates cannot be used: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  await attempt.event(tls, "secureConnect", "proxy tls");
  return tls;
}

function connectRequest({ credentials }: Proxy, target: HostPort): string {
  const authority = formatHostPort(target);
  const authorization = credentials === null
    ? ""
    : `Proxy-Authorization: Basic ${Buffer.from(credentials.reveal(), "utf8").toString("base64")}\r\n`;
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${authorization}\r\n`;
}

/** Runs the steps of one attempt, each within its time; what fails destroys the socket. */
class Attempt {
  readonly #proxy: Proxy;
  readonly #wait: ProxyWait;

  constructor(proxy: Proxy, wait: ProxyWait) {
    this.#proxy = proxy;
    this.#wait = wait;
  }

  event(socket: Socket, event: string, step: Step): Promise<void> {
    return this.step(socket, step, () => new Promise((resolve) => socket.once(event, resolve)));
  }

  step(socket: Socket, step: Step, work: () => Promise<unknown>): Promise<void> {
    const { stepMs, signal } = this.#wait;
    return new Promise((resolve, reject) => {
      const done = (error: ProxyError | null): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
        socket.off("error", failed).off("close", closed);
        if (error === null) return resolve();
        destroy(socket);
        reject(error);
      };
      const failed = (cause: Error): void => done(this.#classify(step, cause));
      // Deno tells of the close before the error that caused it: look a moment later.
      const closed = (): void => {
        setImmediate(() =>
          done(this.failure("proxy_lost", "it closed the connection", { details: { step } }))
        );
      };
      const aborted = (): void => done(this.failure("proxy_lost", "it was given up", { details: { step } }));
      const timer = setTimeout(
        () => done(this.failure("proxy_timeout", `no answer within ${stepMs} ms`, { details: { step } })),
        stepMs,
      );
      socket.once("error", failed).once("close", closed);
      signal?.addEventListener("abort", aborted);
      if (signal?.aborted) return aborted();
      work().then(() => done(null), failed);
    });
  }

  refusal(status: number, schemes: string, target: HostPort): ProxyError {
    const details = { step: "proxy answer", status, schemes };
    const where = formatHostPort(target);
    if (status === 407) {
      const state = this.#proxy.credentials === null
        ? `it asks who this is (${schemes}), and no credentials are given`
        : `it does not accept the credentials given, for Basic; it asks for: ${schemes}`;
      return this.failure("proxy_auth_required", state, { details });
    }
    if (status === 502 || status === 503 || status === 504) {
      return this.failure("proxy_target_unreachable", `it cannot reach "${where}" (status ${status})`, {
        details,
      });
    }
    return this.failure("proxy_refused", `it refuses a connection to "${where}" (status ${status})`, {
      details,
    });
  }

  failure(
    code: ProxyCode,
    state: string,
    { cause, details = {} }: { cause?: unknown; details?: object } = {},
  ) {
    const proxy = describeProxy(this.#proxy);
    const message = `No way through proxy "${proxy}" (from ${this.#proxy.source}): ${state}`;
    return new ProxyError(code, message, { cause, details: { ...details, proxy } });
  }

  #classify(step: Step, cause: NodeJS.ErrnoException): ProxyError {
    if (cause instanceof ProxyError) return cause;
    const options = { cause, details: { step, reason: cause.code } };
    const reason = cause.code ?? cause.message;
    if (step === "proxy connect") {
      const isName = cause.code === "ENOTFOUND" || cause.code === "EAI_AGAIN" ||
        /failed to lookup/i.test(cause.message);
      return this.failure(isName ? "proxy_unresolvable" : "proxy_unreachable", reason, options);
    }
    if (step === "proxy tls") {
      const isTrust = UNTRUSTED.test(`${cause.code ?? ""} ${cause.message}`);
      return this.failure(isTrust ? "proxy_untrusted" : "proxy_tls_failed", cause.message, options);
    }
    if (cause instanceof RangeError) return this.failure("proxy_answer_invalid", cause.message, options);
    return this.failure("proxy_lost", reason, options);
  }
}

const UNTRUSTED =
  /CERT|UNABLE_TO_|SELF_SIGNED|INVALID_(CA|PURPOSE)|UnknownIssuer|NotValidForName|invalid peer certificate/;

/** Never within an event of the socket: that has aborted both runtimes. */
function destroy(socket: Socket): void {
  socket.on("error", () => {});
  setImmediate(() => socket.destroy());
}
