import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { http2User, request2 } from "./http2_user.ts";
import { type IngressStage, ingressStage } from "./ingress_stage.ts";
import { despitePauses } from "./pauses.ts";
import { answerOk } from "./raw_backend.ts";
import { RawHttp2 } from "./raw_http2.ts";
import { type StagedBackend, stagedBackend } from "./staged_backend.ts";
import { until } from "./until.ts";
import { Wire } from "./wire.ts";

/** The app that is attacked. */
export const HOST = "abuse.example.test";
/** Another source than that of the normal user. */
export const ATTACKER = "127.0.0.2";
/** How much larger the broker may be after an attack than before all of them, in bytes. */
const MOST_MEMORY = 200 * 1024 * 1024;
/** What an attack ends with is there by then, milliseconds, unless the machine stood still during the attack. */
export const COUNTED_MS = 10_000;
/** Who stood still for so long may have met a time-out; milliseconds, less than the least of those. */
const STOOD_STILL_MS = 500;
/** Targets that are answered with so many bytes. */
const SIZES: Readonly<Record<string, number>> = { "/large": 100_000, "/huge": 20 * 1024 * 1024 };

/** A broker with an app whose backend answers with the target, but for `SIZES`, once all of a request has come. */
export class Attacked implements AsyncDisposable {
  readonly stage: IngressStage;
  readonly #backend: StagedBackend;
  #memoryBefore = 0;

  private constructor(stage: IngressStage, backend: StagedBackend) {
    this.stage = stage;
    this.#backend = backend;
  }

  /** Starts one; `broker` are arguments for it. */
  static async start(...broker: string[]): Promise<Attacked> {
    const stage = await ingressStage({ broker });
    const backend = await stagedBackend(({ socket, head }) => {
      const target = head.split(" ")[1]!;
      socket.write(answerOk(target in SIZES ? "x".repeat(SIZES[target]!) : target), "latin1");
    });
    const attacked = new Attacked(stage, backend);
    await stage.publish("abuse", [`http://${HOST}`, `https://${HOST}`], backend.origin);
    attacked.#memoryBefore = await stage.metric("process_resident_memory_bytes");
    return attacked;
  }

  /**
   * Runs an attack beside a normal user, all of whose requests must be answered; afterwards `series` of the metrics have
   * grown by `count` at least, all together, and memory is bounded. Attackers who stood still with their machine may have
   * met other limits: then they begin again.
   */
  async withstand(series: readonly string[], count: number, run: () => Promise<void>): Promise<void> {
    const { stage } = this;
    const total = async () =>
      (await Promise.all(series.map((one) => stage.metric(one)))).reduce((sum, value) => sum + value, 0);
    using user = new NormalUser(stage);
    await despitePauses(STOOD_STILL_MS, async () => {
      const counted = await total();
      await run();
      let more = 0;
      let shown: string | undefined;
      // The attacker may know of the end before the broker has closed its side.
      await until(`${count} more are counted in ${series}`, async () => {
        more = await total() - counted;
        const all = await (await fetch(`${stage.broker.adminUrl}/metrics`)).text();
        shown = all.match(/^sallyport_(ingress_connections_ended|errors)_total.*[^ 0].$/gm)?.join("; ");
        return more >= count;
      }, { withinMs: COUNTED_MS, more: () => `${more} were counted: ${shown}` });
    });
    await user.stop();
    assert.equal(stage.broker.child.exit, null, "the broker has ended");
    const memory = await stage.metric("process_resident_memory_bytes");
    assert.ok(
      memory - this.#memoryBefore < MOST_MEMORY,
      `${(memory - this.#memoryBefore) / 1024 / 1024} MiB more`,
    );
    await stage.lanesIdle();
  }

  /** A TCP connection of the attacker, whose bytes are read to nowhere. */
  async dial(port: number): Promise<Socket> {
    const socket = connect({ port, host: "127.0.0.1", localAddress: ATTACKER, noDelay: true });
    socket.on("error", () => {});
    socket.resume();
    await once(socket, "connect");
    return socket;
  }

  /** An HTTP/2 connection of the attacker. */
  dial2(settings?: readonly number[]): Promise<RawHttp2> {
    const { tlsPort: port, ca } = this.stage;
    const options = { port, servername: HOST, ca, localAddress: ATTACKER };
    return despitePauses(STOOD_STILL_MS, () => RawHttp2.open(options as object, settings));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
    await this.#backend[Symbol.asyncDispose]();
  }
}

/** Asks over HTTP/1.1 and HTTP/2, on new connections each time, until stopped; every answer must be right. */
export class NormalUser implements Disposable {
  readonly #stage: IngressStage;
  readonly #done: Promise<void>;
  #stopped = false;
  answers = 0;

  constructor(stage: IngressStage) {
    this.#stage = stage;
    this.#done = this.#run();
    this.#done.catch(() => {});
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    assert.ok(this.answers > 0);
  }

  async #run(): Promise<void> {
    const { plainPort, tlsPort, ca } = this.#stage;
    do {
      const target = `/normal-${this.answers}`;
      await answered(`200 ${target}`, async () => {
        using wire = await Wire.plain(plainPort);
        wire.send(`GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
        const { status, body } = await wire.response();
        return `${status} ${body}`;
      });
      await answered(`200 ${target} end`, async () => {
        const session = await http2User({ port: tlsPort, servername: HOST, ca });
        try {
          const answer = await request2(session, { ":path": target, ":authority": HOST });
          return `${answer.status} ${answer.body} ${answer.end}`;
        } finally {
          session.destroy();
        }
      });
      this.answers += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    } while (!this.#stopped);
  }
}

/** Asks, and again where this process stood still meanwhile; throws when the answer is another one. */
function answered(expected: string, ask: () => Promise<string>): Promise<void> {
  return despitePauses(STOOD_STILL_MS, async () => assert.equal(await ask(), expected));
}

/** Resolves when the connection has closed. */
export async function gone(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

/** As many at once. */
export const many = <T>(count: number, make: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, make));
