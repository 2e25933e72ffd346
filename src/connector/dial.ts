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
  // Session and socket report their end in different orders on different runtimes; the first cause known counts.
  let lost: DialError | null = null;
  const note = (cause: NodeJS.ErrnoException): void => {
    lost ??= rejection(cause, "http2") ??
      new DialError("broker_lost", `Connection to the broker broke: ${cause.message}`, {
        cause,
        retryable: true,
        details: { step: "http2" },
      });
  };
  socket.on("error", note);
  const agent = new Agent();
  const step = new Step(stepMs, signal, () => lost);
  try {
    const session = await step.run<ClientHttp2Session>((resolve, reject) => {
      socket.once("close", reject);
      agent.getSession(new URL(`https://${target.tunnelName}:${target.address.port}`), {
        createConnection: () => socket,
        settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
        maxSessionMemory: SESSION_MEMORY_MB,
        peerMaxConcurrentStreams: 100,
      } as never).then((session: unknown) => resolve(session as ClientHttp2Session), reject);
    });
    session.on("error", note);
    const control = session.request({ ":method": "POST", ":path": "/tunnel/v1/control" }, {
      endStream: false,
    });
    control.on("error", note);
    await step.run<void>((resolve, reject) => {
      control.once("response", (headers) => {
        if (headers[":status"] === 200) return resolve();
        refusal(control, Number(headers[":status"])).then(reject);
      });
      control.once("close", reject);
      session.once("close", reject);
    });
    return { session, control, remoteAddress };
  } catch (error) {
    setImmediate(() => socket.destroy());
    throw error instanceof DialError ? error : step.lost();
  }
}

/** Runs steps against a deadline each, and the caller's signal. */
class Step {
  readonly #ms: number;
  readonly #signal: AbortSignal;
  readonly #cause: () => DialError | null;

  constructor(ms: number, signal: AbortSignal, cause: () => DialError | null) {
    this.#ms = ms;
    this.#signal = signal;
    this.#cause = cause;
  }

  run<T>(begin: (resolve: (value: T) => void, reject: (error?: unknown) => void) => void): Promise<T> {
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
        fail(new DialError("broker_lost", "Dialling was given up", { details: { step: "http2" } }));
      const timer = setTimeout(
        () =>
          fail(
            new DialError("broker_timeout", `Broker did not answer in ${this.#ms} ms after TLS was up`, {
              retryable: true,
              details: { step: "http2" },
            }),
          ),
        this.#ms,
      );
      this.#signal.addEventListener("abort", aborted);
      if (this.#signal.aborted) return aborted();
      begin((value) => {
        finish();
        resolve(value);
      }, fail);
    });
  }

  lost(): DialError {
    return this.#cause() ??
      new DialError("broker_lost", "The broker closed the connection", {
        retryable: true,
        details: { step: "http2" },
      });
  }
}

/** What a broker says that will not have us: the code in its problem body. */
async function refusal(stream: ClientHttp2Stream, status: number): Promise<DialError> {
  let text = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) {
    text += chunk;
    if (text.length > MOST_PROBLEM_BYTES) break;
  }
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
