/** The relay that fault tests stand on does each of the things that it is told to, and counts it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { FaultyRelay, type Trouble } from "../faults/faulty_relay.ts";
import { until } from "../support/until.ts";

/** One end of a connection: what it has got so far, in the pieces in which it came, and how it ended. */
class End {
  readonly socket: Socket;
  readonly pieces: Buffer[] = [];
  ended: "no" | "end" | "reset" = "no";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.pieces.push(bytes);
    });
    socket.on("end", () => {
      this.ended = "end";
    });
    socket.on("error", () => {
      this.ended = "reset";
    });
  }

  get got(): string {
    return Buffer.concat(this.pieces).toString("latin1");
  }

  async until(holds: () => boolean): Promise<void> {
    await until("it has come", holds, { more: () => `${this.ended}, got "${this.got}"` });
  }
}

/** A connection through a relay. */
async function pair(t: TestContext): Promise<{ relay: FaultyRelay; near: End; far: End }> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const relay = await FaultyRelay.start();
  relay.target = (server.address() as AddressInfo).port;
  const [host, port] = relay.address.split(":");
  const accepted = once(server, "connection");
  const socket = connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  const near = new End(socket);
  const far = new End((await accepted)[0] as Socket);
  t.after(async () => {
    socket.destroy();
    far.socket.destroy();
    await relay[Symbol.asyncDispose]();
    server.close();
  });
  return { relay, near, far };
}

/** For both directions: who sends, who gets it, and the trouble of that direction. */
const WAYS = [
  ["up", (p: Awaited<ReturnType<typeof pair>>) => [p.near, p.far, p.relay.up] as const],
  ["down", (p: Awaited<ReturnType<typeof pair>>) => [p.far, p.near, p.relay.down] as const],
] as const;

for (const [way, ends] of WAYS) {
  /** Runs with a trouble in this direction, and shows that the other one has none. */
  const runs = (
    name: string,
    trouble: Trouble,
    body: (from: End, to: End, relay: FaultyRelay, trouble: Trouble) => Promise<void>,
  ) =>
    test(`${way}: ${name}`, async (t) => {
      const made = await pair(t);
      const [from, to, own] = ends(made);
      Object.assign(own, trouble);
      to.socket.write("other way");
      await from.until(() => from.got === "other way");
      assert.equal(made.relay.touched, 0, "the other way is well");
      await body(from, to, made.relay, own);
      assert.ok(made.relay.touched > 0, "it is counted");
    });

  runs("delays", { delayMs: 200 }, async (from, to) => {
    const sentAt = performance.now();
    from.socket.write("late");
    await to.until(() => to.got === "late");
    assert.ok(performance.now() - sentAt >= 199, "no sooner");
  });

  runs("throttles", { bytesPerSecond: 100_000 }, async (from, to) => {
    const sentAt = performance.now();
    for (let sent = 10_000; sent <= 50_000; sent += 10_000) {
      from.socket.write(Buffer.alloc(10_000));
      await to.until(() => to.got.length === sent);
    }
    // The first of them finds the link free.
    assert.ok(performance.now() - sentAt >= 399, "no sooner");
  });

  runs("black-holes, and carries on when it is well again", { hole: true }, async (from, to, relay) => {
    from.socket.write("vanishes");
    await until("it has vanished", () => relay.touched >= "vanishes".length);
    relay.heal();
    from.socket.write("arrives");
    await to.until(() => to.got.length > 0);
    assert.equal(to.got, "arrives");
  });

  runs("corrupts one bit of so many pieces", { corrupt: 1 }, async (from, to) => {
    from.socket.write("abc");
    await to.until(() => to.got.length === 3);
    assert.equal(to.got, "abb");
    from.socket.write("abc");
    await to.until(() => to.got.length === 6);
    assert.equal(to.got, "abbabc");
  });

  runs("truncates: half of a piece, then the end", { truncate: true }, async (from, to) => {
    from.socket.write("12345678");
    await to.until(() => to.ended !== "no");
    assert.deepEqual([to.got, to.ended], ["1234", "end"]);
  });

  runs("splits into single bytes", { singles: 4 }, async (from, to, relay) => {
    from.socket.write("abcdefgh");
    await to.until(() => to.got.length === 8);
    assert.equal(to.got, "abcdefgh");
    assert.equal(relay.touched, 8);
  });

  test(`${way}: half-closes, and carries the other way on`, async (t) => {
    const made = await pair(t);
    const [from, to] = ends(made);
    made.relay.halfClose(way);
    await to.until(() => to.ended !== "no");
    assert.equal(to.ended, "end");
    to.socket.write("still here");
    await from.until(() => from.got === "still here");
    assert.ok(made.relay.touched > 0);
  });
}

test("resets both ends", async (t) => {
  const { relay, near, far } = await pair(t);
  near.socket.write("first");
  await far.until(() => far.got === "first");
  relay.reset();
  await Promise.all([near, far].map((end) => end.until(() => end.ended !== "no")));
  assert.deepEqual([near.ended, far.ended], ["reset", "reset"]);
  assert.ok(relay.touched > 0);
});

test("falls silent both ways, and the connection stays", async (t) => {
  const { relay, near, far } = await pair(t);
  relay.silence();
  near.socket.write("into nowhere");
  far.socket.write("into nowhere");
  assert.equal(relay.open, 1);
  // What a connection that is opened now carries comes later than the others would.
  const [host, port] = relay.address.split(":");
  const other = connect({ host, port: Number(port) });
  t.after(() => other.destroy());
  await once(other, "connect");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual([near.got, far.got, near.ended, far.ended], ["", "", "no", "no"]);
});
