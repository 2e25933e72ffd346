import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { Agent } from "http2-wrapper";
import { STREAM_WINDOW } from "../protocol/limits.ts";
import { DialError } from "./errors.ts";
import { dialSocket, type DialTarget, rejection } from "./tunnel_socket.ts";

/** A session whose control stream the broker has accepted. */
export interface DialledTunnel {
  session: ClientHttp2Session;
  control: ClientHttp2Stream;
  /** Address of the broker that was really reached. */
  remoteAddress: string;
}

/** Memory that nghttp2 may use for the tunnel, in its unit of megabytes. */
const SESSION_MEMORY_MB = 1024;
const MOST_PROBLEM_BYTES = 4096;

/**
 * Opens a tunnel as far as its control stream: TCP, TLS, HTTP/2 settings, `POST /tunnel/v1/control`; each step within
 * `stepMs` milliseconds. Throws `DialError`; nothing stays open then.
 */
export async function dialTunnel(
  target: DialTarget,
  stepMs: number,
  signal: AbortSignal,
): Promise<DialledTunnel> {
  const socket = await dialSocket(target, stepMs, signal);
  const remoteAddress = socket.remoteAddress ?? "";
  const steps = new Steps(stepMs, signal);
  const note = (cause: NodeJS.ErrnoException): void => steps.note(cause);
  socket.on("error", note);
  const agent = new Agent();
  try {
    const session = await steps.run<ClientHttp2Session>("http2", (resolve, reject) => {
      // A TLS alert after the handshake is an error of the socket that no session tells of, and no close follows.
      socket.once("error", reject);
      socket.once("close", reject);
      // The port that the session takes for its own: of a proxy, where there is one.
      const port = socket.remotePort ?? target.address.port;
      agent.getSession(new URL(`https://${target.tunnelName}:${port}`), {
        createConnection: () => socket,
        settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
        maxSessionMemory: SESSION_MEMORY_MB,
        peerMaxConcurrentStreams: 100,
      } as never).then((session: unknown) => resolve(session as ClientHttp2Session), reject);
    });
    session.on("error", note);
    const control = await steps.run<ClientHttp2Stream>("control", (resolve, reject) => {
      let answered = false;
      const lost = (): void => {
        if (!answered) reject();
      };
      socket.once("error", lost);
      session.once("close", lost);
      const stream = session.request({ ":method": "POST", ":path": "/tunnel/v1/control" }, {
        endStream: false,
      });
      stream.on("error", note);
      stream.once("response", (headers) => {
        answered = true;
        if (headers[":status"] === 200) resolve(stream);
        else refusal(stream, Number(headers[":status"]), reject);
      });
      stream.once("close", lost);
    });
    return { session, control, remoteAddress };
  } catch (error) {
    setImmediate(() => socket.destroy());
    throw error instanceof DialError ? error : steps.lost();
  }
}

/** Runs steps against a deadline each, and the caller's signal; knows why the connection broke. */
class Steps {
  readonly #ms: number;
  readonly #signal: AbortSignal;
  #step = "";
  /** Session and socket report their end in different orders on different runtimes; the first cause known counts. */
  #lost: DialError | null = null;

  constructor(ms: number, signal: AbortSignal) {
    this.#ms = ms;
    this.#signal = signal;
  }

  /** Something broke. */
  note(cause: NodeJS.ErrnoException): void {
    this.#lost ??= rejection(cause, this.#step) ??
      this.#error("broker_lost", `Connection to the broker broke: ${cause.message}`, cause);
  }

  run<T>(
    step: string,
    begin: (resolve: (value: T) => void, reject: (error?: unknown) => void) => void,
  ): Promise<T> {
    this.#step = step;
    return new Promise<T>((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#signal.removeEventListener("abort", aborted);
      };
      const fail = (error?: unknown): void => {
        finish();
        // The cause may be told only after the close.
        setImmediate(() => reject(error instanceof DialError ? error : this.lost()));
      };
      const aborted = (): void =>
        fail(new DialError("broker_lost", "Dialling was given up", { details: { step } }));
      const timer = setTimeout(
        () => fail(this.#error("broker_timeout", `Broker did not answer in ${this.#ms} ms after TLS was up`)),
        this.#ms,
      );
      this.#signal.addEventListener("abort", aborted);
      if (this.#signal.aborted) return aborted();
      try {
        begin((value) => {
          finish();
          resolve(value);
        }, fail);
      } catch (error) {
        this.note(error as Error);
        fail();
      }
    });
  }

  /** Why the connection is gone. */
  lost(): DialError {
    return this.#lost ?? this.#error(
      "broker_lost",
      this.#step === "http2"
        ? "The broker closed the connection right after TLS, as it does where it does not accept the certificate"
        : "The broker closed the connection",
    );
  }

  #error(code: "broker_lost" | "broker_timeout", message: string, cause?: unknown): DialError {
    return new DialError(code, message, { cause, retryable: true, details: { step: this.#step } });
  }
}

/** Reads what a broker says that will not have us, as far as it comes: the code in its problem body. */
function refusal(stream: ClientHttp2Stream, status: number, told: (error: DialError) => void): void {
  let text = "";
  stream.setEncoding("utf8");
  const done = (): void => told(refused(status, text));
  stream.on("data", (chunk: string) => {
    text += chunk;
    if (text.length > MOST_PROBLEM_BYTES) done();
  });
  stream.once("end", done);
  stream.once("close", done);
}

function refused(status: number, text: string): DialError {
  let problem: { code?: unknown; title?: unknown } = {};
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch {
    // Not from a broker of ours: the status alone has to do.
  }
  const reason = typeof problem.code === "string" ? problem.code : `http_${status}`;
  return new DialError(
    "tunnel_refused",
    `The broker refuses the tunnel: ${
      typeof problem.title === "string" ? problem.title : `HTTP status ${status}`
    }`,
    { retryable: status >= 500, details: { step: "control", reason, status } },
  );
}
