/** What an app's settings bound: time, size, requests at a time; maintenance; and changes while requests are under way. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import type { BrokerProcess, ConnectorProcess } from "../../src/demo/processes.ts";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { despitePauses } from "../support/pauses.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import {
  type HeadBackend,
  headBackend,
  type StagedBackend,
  stagedBackend,
} from "../support/staged_backend.ts";
import { until } from "../support/until.ts";
import { valueOf, Wire, type WireResponse } from "../support/wire.ts";

const SMALL = 100_000;
/** Who stood still for so long may have met a limit that was not meant, in milliseconds. */
const STOOD_STILL_MS = 100;
/** A backend of heads answers one request a connection. */
const CLOSING = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/** Deno's HTTP/2 client cannot leave a stream open or unread as these users do. */
const NODE_ONLY = { skip: "Deno" in globalThis && "the test's own users: Deno's HTTP/2 client" };

let stage: IngressStage;
/** Answers whole requests, those to /hold when they are let go. */
let backend: StagedBackend;
/** Is asked with the head alone. */
let heads: HeadBackend;
const held: RawRequest[] = [];

before(async () => {
  backend = await stagedBackend((request) => {
    if (!request.head.includes(" /hold")) return void request.socket.write(answerOk());
    held.push(request);
  });
  heads = await headBackend();
  stage = await ingressStage({
    broker: ["--user-idle-ms", "400"],
    connector: ["--allow", "127.0.0.1:*"],
  });
  const publish = (name: string, origin: string, settings: object) =>
    stage.publish(name, [`http://${host(name)}`, `https://${host(name)}`], origin, settings);
  await publish("short", heads.origin, { timeouts: { totalMs: 300 } });
  await publish("brief", heads.origin, { timeouts: { totalMs: 1_500 } });
  await publish("small", backend.origin, { maxRequestBytes: SMALL });
  await publish("one", backend.origin, { maxConcurrent: 1, maxQueued: 1 });
  await publish("impatient", backend.origin, {
    maxConcurrent: 1,
    timeouts: { responseHeadMs: 200, idleMs: 0 },
  });
  await publish("away", backend.origin, {
    maintenance: { message: "Back <soon>\n& better", retryAfterS: 77 },
  });
  await publish("plain", backend.origin, {});
  await publish("heads", heads.origin, {});
  await publish("compressed", heads.origin, { compression: true });
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  await heads?.[Symbol.asyncDispose]();
});

const host = (name: string) => `${name}.example.test`;
const plain = () => Wire.plain(stage.plainPort);
const user2 = (name: string) => http2User({ port: stage.tlsPort, servername: host(name), ca: stage.ca });
const head2 = (name: string, method = "GET") => ({
  ":path": "/",
  ":method": method,
  ":authority": host(name),
});
const counted = (code: string) => stage.metric(`sallyport_errors_total{code="${code}"}`);
const waiting = () => stage.metric("sallyport_waiting_requests");
/** How often the backend of whole requests was turned to. */
const contacts = () => backend.raw.requests.length + backend.raw.connections.length;
const refusal = ({ status, body }: WireResponse) => [status, JSON.parse(body).code];

async function get(wire: Wire, name: string, path = "/") {
  wire.send(`GET ${path} HTTP/1.1\r\nHost: ${host(name)}\r\n\r\n`);
  return await wire.response();
}

async function ask2(name: string, method = "GET", body?: string) {
  const user = await user2(name);
  const response = await request2(user, head2(name, method), body);
  user.destroy();
  return response;
}

/** The requests that the backend holds, once there are so many. */
async function holding(count: number): Promise<void> {
  await until(`the backend holds ${count} requests`, () => held.length >= count);
}

function letGo(): void {
  held.shift()!.socket.write(answerOk());
}

/** The next connection of a backend that is asked with the head alone, and what then becomes of it. */
function nextHead(): Promise<{ socket: Socket; closed: Promise<unknown> }> {
  return new Promise((resolve) => {
    heads.answer = (socket) => {
      socket.resume();
      // The other side's end is enough: these backends keep their own side open.
      resolve({ socket, closed: Promise.race([once(socket, "end"), once(socket, "close")]) });
    };
  });
}

async function suspended({ child }: BrokerProcess | ConnectorProcess, during: () => Promise<unknown>) {
  child.signal("SIGSTOP");
  try {
    await during();
  } finally {
    child.signal("SIGCONT");
  }
}

/** What is answered; `tooLate`, the status of whoever was too slow, only where this process did not stand still. */
async function inItsTime<T extends { status: number }>(tooLate: number, ask: () => Promise<T>): Promise<T> {
  return await despitePauses(STOOD_STILL_MS, async () => {
    const answer = await ask();
    assert.notEqual(answer.status, tooLate);
    return answer;
  });
}

/** The answer to bytes on a connection of their own; whoever stood still while sending them sends them again. */
function send(bytes: string): Promise<WireResponse> {
  return inItsTime(408, async () => {
    using wire = await plain();
    wire.send(bytes);
    return await wire.response();
  });
}

/** Resolves when a response that has begun was ended by a reset. */
async function brokenOff(stream: ClientHttp2Stream): Promise<void> {
  const broken = new Promise<{ code?: string }>((resolve) => stream.on("error", resolve));
  await once(stream, "response");
  assert.equal((await broken).code, "ERR_HTTP2_STREAM_ERROR");
}

test("total time: an answer that does not come is 504, and the backend is let go", async () => {
  const before = await counted("exchange_timeout");
  let refused = 0;
  using wire = await plain();
  const timedOut = async () => {
    const response = await get(wire, "short");
    if (response.status === 200) return response;
    assert.deepEqual(refusal(response), [504, "exchange_timeout"]);
    refused += 1;
    return undefined;
  };
  let asked: Awaited<ReturnType<typeof nextHead>> | undefined;
  const { closed } = await until("the backend has heard of one in time", async () => {
    void nextHead().then((head) => asked = head);
    assert.equal(await timedOut(), undefined);
    return asked;
  });
  await closed;
  heads.answer = (socket) => void socket.end(CLOSING);
  assert.equal((await until("one is answered in time", timedOut)).body, "ok");
  assert.equal(await counted("exchange_timeout"), before + refused);
});

test("total time: a response that is still coming breaks off, on HTTP/1.1 and HTTP/2", async () => {
  heads.answer = (socket) => {
    const drip = setInterval(() => socket.write("1\r\nx\r\n"), 20);
    socket.on("close", () => clearInterval(drip));
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  };
  const response = await inItsTime(504, async () => {
    using wire = await plain();
    return await get(wire, "brief");
  });
  assert.deepEqual([response.status, response.end], [200, "cut"]);
  const second = await inItsTime(504, () => ask2("brief"));
  assert.equal(second.status, 200);
  assert.notEqual(second.end, "end");
});

test("total time: neither a connector nor a broker that hangs can exceed it", async () => {
  heads.answer = (socket) => void socket.resume();
  using wire = await plain();
  await suspended(stage.connector, async () => assert.equal((await get(wire, "short")).status, 504));
  using other = await plain();
  await until("the backend has heard of one in time", async () => {
    const answer = get(other, "short");
    const first = await Promise.race([nextHead(), answer]);
    if ("closed" in first) await suspended(stage.broker, () => first.closed);
    assert.equal((await answer).status, 504);
    return "closed" in first;
  });
  await stage.lanesIdle();
});

test("largest body: a length over it is 413 before the backend hears of it", async () => {
  for (const length of [SMALL + 1, 10 ** 14]) {
    const seen = contacts();
    using wire = await plain();
    wire.send(`PUT /x HTTP/1.1\r\nHost: small.example.test\r\nContent-Length: ${length}\r\n\r\nabc`);
    const response = await wire.response();
    assert.deepEqual(refusal(response), [413, "too_large"]);
    assert.equal(contacts(), seen);
  }
});

test("largest body, HTTP/2: a length over it is 413 before the backend hears of it", NODE_ONLY, async () => {
  for (const length of [SMALL + 1, 10 ** 14]) {
    const seen = contacts();
    const user = await user2("small");
    const head = { ...head2("small", "PUT"), "content-length": length };
    const stream = user.request(head, { endStream: false });
    stream.on("error", () => {});
    stream.write("abc");
    const [answer] = await once(stream, "response");
    assert.equal(answer[":status"], 413);
    user.destroy();
    assert.equal(contacts(), seen);
  }
});

test("largest body: exactly so much passes, with and without a length", NODE_ONLY, async () => {
  const body = "x".repeat(SMALL);
  const head = "PUT / HTTP/1.1\r\nHost: small.example.test\r\n";
  assert.equal((await send(`${head}Content-Length: ${SMALL}\r\n\r\n${body}`)).body, "ok");
  const chunk = `${SMALL.toString(16)}\r\n${body}\r\n`;
  assert.equal((await send(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\n\r\n`)).body, "ok");
  assert.equal((await inItsTime(408, () => ask2("small", "PUT", body))).body, "ok");
});

test("largest body: one that says no length is given up when it is exceeded", NODE_ONLY, async () => {
  const seen = backend.raw.requests.length;
  const body = "x".repeat(SMALL + 1);
  const head = "PUT / HTTP/1.1\r\nHost: small.example.test\r\nTransfer-Encoding: chunked\r\n\r\n";
  assert.equal((await send(`${head}${body.length.toString(16)}\r\n${body}\r\n`)).status, 413);
  assert.equal((await inItsTime(408, () => ask2("small", "PUT", body))).status, 413);
  assert.equal(backend.raw.requests.length, seen, "the backend has no whole request");
  await stage.lanesIdle();
});

test("requests at a time: the next waits, the one after that is 503, and turns are given on", async () => {
  const wires = await Promise.all([plain(), plain(), plain()]);
  const [first, second, third] = wires as [Wire, Wire, Wire];
  const one = get(first, "one", "/hold");
  await holding(1);
  const two = get(second, "one", "/hold");
  await until("a request waits", async () => await waiting() > 0);
  const refused = await get(third, "one");
  assert.deepEqual(refusal(refused), [503, "app_busy"]);
  assert.equal(valueOf(refused.headers, "retry-after"), "5");
  assert.equal((await get(third, "plain")).status, 200);
  letGo();
  assert.equal((await one).body, "ok");
  await holding(1);
  letGo();
  assert.equal((await two).body, "ok");
  assert.equal((await get(third, "one")).body, "ok");
  for (const wire of wires) wire.close();
});

test("requests at a time: who leaves while waiting or being served makes room", async () => {
  const [first, second, third] = [await plain(), await plain(), await plain()];
  void get(first, "one", "/hold").catch(() => {});
  await holding(1);
  void get(second, "one", "/hold").catch(() => {});
  await until("a request waits", async () => await waiting() > 0);
  second.close();
  await until("no request waits", async () => await waiting() === 0);
  const next = get(third, "one");
  await until("a request waits", async () => await waiting() > 0);
  first.close();
  assert.equal((await next).body, "ok");
  third.close();
  held.length = 0;
});

test("requests at a time: no turn comes for ever: 503 after the time for a response", async () => {
  using second = await plain();
  heads.answer = (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx");
  const change = { internalUrl: heads.origin };
  const apps = await stage.broker.admin.request("GET", "apps") as { items: { id: string; name: string }[] };
  const { id } = apps.items.find(({ name }) => name === "impatient")!;
  await stage.broker.admin.request("PATCH", `apps/${id}`, change);
  using _first = await until("a response has begun in time", async () => {
    const first = await plain();
    first.send("GET / HTTP/1.1\r\nHost: impatient.example.test\r\n\r\n");
    if ((await first.head()).status === 200) return first;
    first.close();
    return undefined;
  });
  assert.equal((await get(second, "impatient")).status, 503);
});

test("maintenance: 503 with the message, escaped, for people and programs; nothing reaches the backend", async () => {
  const seen = backend.raw.requests.length;
  using wire = await plain();
  wire.send("GET / HTTP/1.1\r\nHost: away.example.test\r\nAccept: text/html\r\n\r\n");
  const page = await wire.response();
  assert.deepEqual([page.status, valueOf(page.headers, "retry-after")], [503, "77"]);
  assert.ok(page.body.includes("Back &lt;soon&gt;\n&amp; better"), page.body);
  const problem = JSON.parse((await get(wire, "away")).body);
  assert.deepEqual([problem.code, problem.detail], ["maintenance", "Back <soon>\n& better"]);
  wire.send("HEAD / HTTP/1.1\r\nHost: away.example.test\r\n\r\n");
  assert.equal((await wire.response(true)).status, 503);
  assert.equal(backend.raw.requests.length, seen);
});

test("maintenance, HTTP/2: the same", NODE_ONLY, async () => {
  const { status, headers } = await ask2("away");
  assert.deepEqual([status, headers["retry-after"]], [503, "77"]);
});

test("a change of an app leaves what is under way alone and holds for the next request", async () => {
  const id = await stage.publish("moves", "http://moves.example.test", heads.origin);
  let going: Socket | null = null;
  heads.answer = (socket) => {
    going = socket;
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold");
  };
  using wire = await plain();
  wire.send("GET / HTTP/1.1\r\nHost: moves.example.test\r\n\r\n");
  await wire.head();
  assert.equal(await wire.bytes(3), "old");
  const patch = (body: object) => stage.broker.admin.request("PATCH", `apps/${id}`, body);
  await patch({ internalUrl: backend.origin, timeouts: { totalMs: 60_000 }, maxConcurrent: 1 });
  using other = await plain();
  assert.equal((await get(other, "moves")).body, "ok");
  await patch({ maintenance: { message: "" } });
  assert.equal((await get(other, "moves")).status, 503);
  await patch({ maintenance: null });
  assert.equal((await get(other, "moves")).body, "ok");
  going!.write("new");
  assert.equal(await wire.bytes(3), "new");
});

test("a user who stops in the middle of an upload is sent away", async () => {
  const before = await counted("user_idle");
  heads.answer = (socket) => void socket.resume();
  using wire = await plain();
  wire.send("PUT / HTTP/1.1\r\nHost: heads.example.test\r\nContent-Length: 10\r\n\r\nabc");
  const response = await wire.response();
  assert.deepEqual(refusal(response), [408, "user_idle"]);
  assert.equal(await wire.over(), "ended");
  assert.equal(await counted("user_idle"), before + 1);
});

test("a user who stops in the middle of an upload is sent away, HTTP/2", NODE_ONLY, async () => {
  const before = await counted("user_idle");
  heads.answer = (socket) => void socket.resume();
  const user = await user2("heads");
  const stream = user.request(head2("heads", "PUT"), { endStream: false });
  stream.on("error", () => {});
  stream.write("abc");
  const [head] = await once(stream, "response");
  assert.equal(head[":status"], 408);
  user.destroy();
  assert.equal(await counted("user_idle"), before + 1);
});

test(
  "a user who does not read is sent away, whether the response is all here or not",
  NODE_ONLY,
  async () => {
    for (const bytes of [150_000, 1_000_000]) {
      const before = await counted("user_idle");
      const body = Buffer.alloc(bytes, "x");
      heads.answer = (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n`);
        socket.end(body);
      };
      const user = await user2("heads");
      await brokenOff(user.request(head2("heads")));
      user.destroy();
      assert.equal(await counted("user_idle"), before + 1);
    }
    await stage.lanesIdle();
  },
);

test("a user who leaves no room for a response that is all written is sent away", NODE_ONLY, async () => {
  const before = await counted("user_idle");
  heads.answer = (socket) =>
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 10000\r\nConnection: close\r\n\r\n${"x".repeat(10_000)}`);
  const user = connectHttp2(`https://127.0.0.1:${stage.tlsPort}`, {
    ca: stage.ca,
    servername: "heads.example.test",
    settings: { initialWindowSize: 0 },
  });
  user.on("error", () => {});
  await once(user, "remoteSettings");
  await brokenOff(user.request(head2("heads")));
  user.destroy();
  assert.equal(await counted("user_idle"), before + 1);
  await stage.lanesIdle();
});

test("a user who reads what is slow to compress stays", async () => {
  const piece = randomBytes(1024 * 1024).toString("hex");
  heads.answer = (socket) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nConnection: close\r\n\r\n");
    let left = 40;
    const more = () => {
      while (left-- > 0) if (!socket.write(piece)) return void socket.once("drain", more);
      socket.end();
    };
    more();
  };
  // A user who stands still with the machine does not read either.
  await despitePauses(STOOD_STILL_MS, async () => {
    const before = await counted("user_idle");
    using wire = await plain();
    wire.send("GET / HTTP/1.1\r\nHost: compressed.example.test\r\nAccept-Encoding: br\r\n\r\n");
    const { headers, end } = await wire.response();
    assert.equal(valueOf(headers, "content-encoding"), "br");
    assert.deepEqual([end, await counted("user_idle")], ["chunked", before]);
  });
});

test("a user who is silent while it is the backend's turn stays", async () => {
  heads.answer = (socket) => void setTimeout(() => socket.end(CLOSING), 1_000);
  using wire = await plain();
  assert.equal((await get(wire, "heads")).body, "ok");
  heads.answer = (socket) => {
    socket.write(CLOSING.slice(0, -1));
    setTimeout(() => socket.end("k"), 1_000);
  };
  using reader = await plain();
  assert.equal((await get(reader, "heads")).body, "ok");
});
