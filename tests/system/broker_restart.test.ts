/** A broker that is restarted on inherited sockets, and users of HTTP/2 who never send anything twice. */
import assert from "node:assert/strict";
import { type ClientHttp2Session, connect } from "node:http2";
import { test } from "node:test";
import { FaultStage } from "../faults/fault_stage.ts";
import type { Http2Target } from "../faults/http2_shots.ts";
import { despitePauses } from "../support/pauses.ts";
import { until } from "../support/until.ts";

const USERS = 3;
const WORKERS = 6;
/** Users who stand still for so long are no steady ones: who asks nothing for 500 ms is told to go. In milliseconds, with some reserve. */
const STOOD_STILL_MS = 400;

/** Asks again as soon as it is answered, several times at once, in one session until told to go; counts. */
class SteadyUser implements Disposable {
  readonly #target: Http2Target;
  readonly #sessions = new Set<ClientHttp2Session>();
  #current: ClientHttp2Session | null = null;
  #stopped = false;
  readonly failures: string[] = [];
  answers = 0;
  /** Resolves when the session of now was told to go. */
  told: Promise<void> = Promise.resolve();

  constructor(target: Http2Target) {
    this.#target = target;
  }

  /** Goes on until `stop`. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: WORKERS }, async () => {
      while (!this.#stopped) await this.#once();
    }));
  }

  /** What has begun comes to its end. */
  stop(): void {
    this.#stopped = true;
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#current = null;
    for (const session of this.#sessions) session.destroy();
  }

  async #once(): Promise<void> {
    let status = 0;
    const stream = this.#session().request({ ":path": "/", ":authority": this.#target.host });
    stream.on("response", (headers) => status = Number(headers[":status"]));
    stream.on("error", (error) => this.failures.push(error.message));
    stream.resume();
    await new Promise<void>((resolve) => stream.once("close", resolve));
    if (status === 200 && stream.rstCode === 0) this.answers += 1;
    else this.failures.push(`status ${status}, code ${stream.rstCode}`);
  }

  #session(): ClientHttp2Session {
    if (this.#current !== null) return this.#current;
    const { port, host, ca } = this.#target;
    const session = connect(`https://127.0.0.1:${port}`, { servername: host, ca });
    this.#sessions.add(session);
    session.on("error", (error) => this.failures.push(error.message));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.told = promise;
    session.once("goaway", () => {
      this.#current = null;
      resolve();
    });
    session.once("close", () => {
      this.#sessions.delete(session);
      if (this.#current !== session) return;
      this.failures.push("a session closed untold");
      this.#current = null;
      resolve();
    });
    return this.#current = session;
  }
}

/** Restarts the broker twice under users, and says what has failed. */
async function restarted(stage: FaultStage): Promise<string[]> {
  using disposables = new DisposableStack();
  const users = Array.from({ length: USERS }, () => disposables.use(new SteadyUser(stage.http2)));
  const runs = users.map((user) => user.run());
  for (let restart = 0; restart < 2; restart++) {
    const told = users.map((user) => user.told);
    await stage.replaceBroker();
    await Promise.all(told);
  }
  const answered = users.map(({ answers }) => answers);
  await until("all go on", () => users.every((user, i) => user.answers > answered[i]!));
  for (const user of users) user.stop();
  await Promise.all(runs);
  return users.flatMap(({ failures }) => failures);
}

test("a broker that is restarted on inherited sockets loses no request of HTTP/2 users who never retry", async () => {
  await using stage = await FaultStage.start({ connectors: 1, ownSockets: true });
  await despitePauses(STOOD_STILL_MS, async () => assert.deepEqual(await restarted(stage), []));
});

test("while no broker runs, connections wait in the sockets that the next one inherits: none is refused", async () => {
  await using stage = await FaultStage.start({ connectors: 1, ownSockets: true });
  await stage.broker.stop();
  const waiting = Array.from({ length: 20 }, () => fetch(stage.url, { headers: { connection: "close" } }));
  let answered = 0;
  for (const request of waiting) request.then(() => answered += 1, () => {});
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(answered, 0, "nobody is there");
  await stage.replaceBroker();
  assert.deepEqual(new Set((await Promise.all(waiting)).map(({ status }) => status)), new Set([200]));
});
