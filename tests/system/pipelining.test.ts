/** HTTP/1.1 requests that users send ahead: answered in order, bounded, and never mixed up with what follows them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import { type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { until } from "../support/until.ts";
import { Wire } from "../support/wire.ts";

const HOST = "ahead.example.test";
/** One whose response is under way, and those that wait behind it. */
const TAKEN = 17;

let stage: IngressStage;
let backend: StagedBackend;
/** Requests that the backend has not answered. */
let held: RawRequest[] = [];
let wake = () => {};

before(async () => {
  stage = await ingressStage();
  backend = await stagedBackend((request) => {
    held.push(request);
    wake();
  });
  await stage.publish("ahead", `http://${HOST}`, backend.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

const target = ({ head }: RawRequest) => head.split(" ")[1]!;
const release = () => {
  for (const one of held.splice(0)) one.socket.write(answerOk(target(one)));
};
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
const gets = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => get(`/${from + i}`)).join("");
const ended = () => stage.metric('sallyport_ingress_connections_ended_total{cause="pipelining"}');

async function reached(count: number): Promise<void> {
  await until(`the backend holds ${count} requests`, () => held.length >= count);
}

test("requests sent ahead are answered in order, also those for which there was no room at first", async () => {
  const wire = await Wire.plain(stage.plainPort);
  wire.send(gets(0, TAKEN));
  await reached(TAKEN);
  wire.send(gets(TAKEN, 60));
  wake = release; // From here on each is answered as it comes.
  release();
  for (let i = 0; i < 60; i++) assert.equal((await wire.response()).body, `/${i}`);
  wake = () => {};
  wire.close();
  await stage.lanesIdle();
});

test("a connection that is full of waiting requests is not read", async () => {
  const wire = await Wire.plain(stage.plainPort);
  wire.send(gets(0, TAKEN));
  await reached(TAKEN);
  // More than socket buffers hold: what is left shows that nobody reads.
  const more = Buffer.from(gets(0, 400_000));
  wire.send(more);
  const other = await Wire.plain(stage.plainPort);
  for (let i = 0; i < 20; i++) {
    other.send(get(`/other-${i}`));
    await reached(TAKEN + 1);
    const [last] = held.splice(TAKEN, 1);
    last!.socket.write(answerOk(target(last!)));
    assert.equal((await other.response()).body, `/other-${i}`);
  }
  assert.ok(wire.socket.writableLength > 0);
  assert.equal(held.length, TAKEN);
  other.close();
  release(); // It is read on, and has far more than may wait.
  await wire.over();
  held = [];
  await stage.lanesIdle();
});

test("one read that brings far more than may wait ends the connection; nobody else is disturbed", async () => {
  const before = await ended();
  const wire = await Wire.plain(stage.plainPort);
  wire.send(gets(0, 1_000));
  await wire.over();
  assert.equal(await ended(), before + 1);
  held = [];
  await stage.lanesIdle();
  const other = await Wire.plain(stage.plainPort);
  other.send(get("/other"));
  // Those of the connection that has ended may come as late.
  for (let count = 1; !held.some((one) => target(one) === "/other"); count = held.length + 1) {
    await reached(count);
  }
  release();
  assert.equal((await other.response()).body, "/other");
  other.close();
});

test("what comes behind a request that is not answered is not answered in its place", async () => {
  const behind: Record<string, string> = {
    "an upgrade": `GET /up HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n`,
    "an upgrade for nobody":
      "GET /up HTTP/1.1\r\nHost: nobody.test\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
    "what is no request": "GARB AGE\r\n\r\n",
  };
  for (const [name, bytes] of Object.entries(behind)) {
    held = [];
    const wire = await Wire.plain(stage.plainPort);
    wire.send(get("/slow"));
    await reached(1);
    wire.send(bytes);
    await wire.over();
    assert.equal(await wire.rest(), "", name);
    assert.deepEqual(held.map(target), ["/slow"], name);
    await stage.lanesIdle();
  }
});

test("a request whose body cannot be read is told so itself", async () => {
  held = [];
  const wire = await Wire.plain(stage.plainPort);
  wire.send(`POST /x HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`);
  assert.equal((await wire.response()).status, 400);
  wire.close();
});

test("what follows a refused request, whose end nobody can tell, is not looked at", async () => {
  const odd = `POST /odd HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`;
  for (const pieces of [[odd + get("/behind")], [odd, get("/behind")]]) {
    held = [];
    const wire = await Wire.plain(stage.plainPort);
    wire.send(get("/slow"));
    await reached(1);
    for (const piece of pieces) wire.send(piece);
    // A request that comes later shows what has come before it.
    const other = await Wire.plain(stage.plainPort);
    other.send(get("/other"));
    await until("the other one is there", () => held.some((one) => target(one) === "/other"));
    assert.deepEqual(held.map(target), ["/slow", "/other"]);
    release();
    assert.equal((await other.response()).body, "/other");
    assert.equal((await wire.response()).body, "/slow");
    assert.equal((await wire.response()).status, 400);
    assert.equal(await wire.rest(), "");
    other.close();
    wire.close();
    await stage.lanesIdle();
  }
});
