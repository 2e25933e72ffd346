import { Agent, request } from "node:http";
import { NotInTime, until } from "../support/until.ts";
import { type Http2Target, Http2User } from "./http2_shots.ts";

/** One request of the load, when it was due and how it went. */
export interface Shot {
  method: string;
  protocol: "http/1.1" | "h2";
  /** Milliseconds since the load began at which it was due. */
  dueMs: number;
  /** From when it was due to the last byte of its response, in milliseconds. */
  tookMs: number;
  /** Status, or the error that broke it. */
  outcome: number | string;
}

/** What to send. */
export interface LoadOptions {
  url: string;
  /** Requests a second, kept whatever completes. */
  rate: number;
  /** One request in so many is a POST; 0 for none. */
  postEvery?: number;
  /** Longest wait for a response in milliseconds; beyond it a request counts as failed. */
  timeoutMs?: number;
  /** Where every third request goes, with HTTP/2; none by default. */
  http2?: Http2Target;
}

const TICK_MS = 10;
const CALM_MS = 5_000;

/**
 * An open-loop load: requests leave when they are due, however many are still under way, and their latency counts from
 * then, so that a stall is seen by all requests that it delays. Keep-alive connections; nothing is ever retried.
 */
export class OpenLoop {
  readonly shots: Shot[] = [];
  readonly #options: Required<Omit<LoadOptions, "http2">>;
  readonly #http2: Http2User | null;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 256 });
  readonly #begunAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #sent = 0;
  #open = 0;
  #onDone = (): void => {};

  constructor(options: LoadOptions) {
    this.#options = { postEvery: 0, timeoutMs: 20_000, ...options };
    this.#http2 = options.http2 === undefined ? null : new Http2User(options.http2);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Milliseconds since it began. */
  get nowMs(): number {
    return performance.now() - this.#begunAt;
  }

  /** Sends no more; resolves when the last response is in. */
  async stop(): Promise<readonly Shot[]> {
    clearInterval(this.#timer);
    if (this.#open > 0) await new Promise<void>((resolve) => this.#onDone = resolve);
    this.#agent.destroy();
    this.#http2?.close();
    return this.shots;
  }

  /**
   * Resolves when no more is under way than is due in a fifth of a second: nothing has to be caught up on, after a time
   * in which this process stood still, that would meet a fault all at once. On a machine that is slow always, after a while.
   */
  async calm(): Promise<void> {
    const few = Math.max(1, this.#options.rate / 5);
    await until("few requests are under way", () => this.#open <= few, { withinMs: CALM_MS }).catch(
      (error) => {
        if (!(error instanceof NotInTime)) throw error;
      },
    );
  }

  #tick(): void {
    const due = Math.floor(this.nowMs * this.#options.rate / 1000);
    while (this.#sent < due) {
      this.#sent += 1;
      const { postEvery } = this.#options;
      const isPost = postEvery > 0 && this.#sent % postEvery === 0;
      this.#shoot(isPost ? "POST" : "GET", this.#sent * 1000 / this.#options.rate);
    }
  }

  #shoot(method: string, dueMs: number): void {
    this.#open += 1;
    const protocol = this.#http2 !== null && this.#sent % 3 === 0 ? "h2" : "http/1.1";
    let isOver = false;
    const over = (outcome: number | string): void => {
      if (isOver) return;
      isOver = true;
      this.shots.push({ method, protocol, dueMs, tookMs: this.nowMs - dueMs, outcome });
      this.#open -= 1;
      if (this.#open === 0) this.#onDone();
    };
    if (protocol === "h2") this.#http2!.shoot(method, this.#options.timeoutMs, over);
    else this.#shootHttp1(method, over);
  }

  #shootHttp1(method: string, over: (outcome: number | string) => void): void {
    const req = request(this.#options.url, { method, agent: this.#agent });
    const timer = setTimeout(() => {
      over("timeout");
      req.destroy();
    }, this.#options.timeoutMs);
    req.on("error", (error: NodeJS.ErrnoException) => over(error.code ?? error.message));
    req.on("close", () => clearTimeout(timer));
    req.on("response", (response) => {
      response.on("data", () => {});
      response.on("end", () => over(response.complete ? response.statusCode! : "cut"));
      response.on("error", (error: NodeJS.ErrnoException) => over(error.code ?? error.message));
    });
    req.end(method === "POST" ? "x" : undefined);
  }
}

/** What a load has seen. */
export interface Summary {
  requests: number;
  /** Requests without a 2xx, by method. */
  failedGets: number;
  failedPosts: number;
  /** What they ended with, and how often. */
  outcomes: Record<string, number>;
  p50Ms: number;
  p99Ms: number;
  longestMs: number;
}

/** Sums up. */
export function summarise(shots: readonly Shot[]): Summary {
  const isGood = ({ outcome }: Shot) => typeof outcome === "number" && outcome >= 200 && outcome < 300;
  const failed = shots.filter((shot) => !isGood(shot));
  const took = shots.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const outcomes: Record<string, number> = {};
  for (const { method, protocol, outcome } of failed) {
    const key = `${method} ${outcome}${protocol === "h2" ? " (h2)" : ""}`;
    outcomes[key] = (outcomes[key] ?? 0) + 1;
  }
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0;
  return {
    requests: shots.length,
    failedGets: failed.filter(({ method }) => method === "GET").length,
    failedPosts: failed.filter(({ method }) => method === "POST").length,
    outcomes,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    longestMs: took.at(-1) ?? 0,
  };
}
