import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { TestAuthority } from "../support/backend_certificates.ts";
import { grpcBackend, GrpcClient, type GrpcHandlers } from "../support/grpc_service.ts";
import { http2User } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { type TcpRelay, tcpRelay } from "../support/tcp_relay.ts";
import { until } from "../support/until.ts";

const CLEAR = "grpc-h2c.example.test";
const SECURE = "grpc-tls.example.test";
const AGED = "grpc-aged.example.test";
const CUT = "grpc-cut.example.test";

/** What the backend saw, in order; each test looks for its own. */
const seen: string[] = [];
const saw = (event: string) => void seen.push(event);

/** Resolves once the backend saw `event`. */
async function sight(event: string): Promise<void> {
  await until(`the backend saw "${event}"`, () => seen.includes(event), { more: () => seen.join("\n") });
}

const handlers: GrpcHandlers = {
  unary(call, callback) {
    const text = call.request.toString();
    if (text === "fail") {
      const trailers = new Metadata();
      trailers.set("reason", "it is so");
      trailers.set("details-bin", Buffer.from([0, 255, 1]));
      return callback({
        code: status.FAILED_PRECONDITION,
        details: "not now: 100 % ünready",
        metadata: trailers,
      });
    }
    if (text.startsWith("hang:")) {
      saw(`began ${text}`);
      if (call.getDeadline() !== Infinity) saw(`deadline ${text}`);
      call.on("cancelled", () => saw(`cancelled ${text}`));
      return;
    }
    const head = new Metadata();
    for (const [name, value] of Object.entries(call.metadata.getMap())) {
      if (name.startsWith("x-")) head.set(`seen-${name}`, value);
    }
    call.sendMetadata(head);
    const trailers = new Metadata();
    trailers.set("bytes", String(call.request.length));
    trailers.set("peer-bin", Buffer.from([1, 2, 254]));
    callback(null, call.request, trailers);
  },
  clientStream(call, callback) {
    let bytes = 0;
    let messages = 0;
    call.on("data", (message: Buffer) => {
      bytes += message.length;
      messages += 1;
    });
    call.on("end", () => callback(null, Buffer.from(`${messages} ${bytes}`)));
  },
  serverStream(call) {
    const text = call.request.toString();
    const count = Number(text);
    if (Number.isNaN(count)) {
      call.on("cancelled", () => saw(`cancelled ${text}`));
      call.write(Buffer.from("first"));
      return;
    }
    for (let i = 0; i < count; i++) call.write(Buffer.from(String(i)));
    call.end();
  },
  bidi(call) {
    call.on("data", (message: Buffer) => call.write(message));
    call.on("end", () => call.end());
  },
};

let stage: IngressStage;
const open: (AsyncDisposable | Disposable)[] = [];
const clients = new Map<string, GrpcClient>();
/** On the way to the backend that ages, and to the one that is cut off. */
let toAged: TcpRelay;
let toCut: TcpRelay;

function keep<T extends AsyncDisposable | Disposable>(it: T): T {
  open.push(it);
  return it;
}

before(async () => {
  const authority = await TestAuthority.create();
  const clear = keep(await grpcBackend(handlers));
  const secure = keep(await grpcBackend(handlers, { identity: await authority.server("backend.test") }));
  // Sends every connection away with GOAWAY shortly after it was made, calls or not.
  const aged = keep(
    await grpcBackend(handlers, {
      channel: { "grpc.max_connection_age_ms": 40, "grpc.max_connection_age_grace_ms": 30_000 },
    }),
  );
  stage = keep(await ingressStage());
  const h2c = { backendProtocol: "h2c" };
  await stage.publish("clear", `https://${CLEAR}`, clear.origin, h2c);
  await stage.publish("secure", `https://${SECURE}`, secure.origin, {
    backendTls: { validate: true, ca: authority.ca, serverName: "backend.test" },
  });
  toAged = keep(await tcpRelay());
  toAged.target = aged.port;
  await stage.publish("aged", `https://${AGED}`, `http://${toAged.address}`, h2c);
  toCut = keep(await tcpRelay());
  toCut.target = clear.port;
  await stage.publish("cut", `https://${CUT}`, `http://${toCut.address}`, h2c);
  for (const host of [CLEAR, SECURE, AGED, CUT]) {
    clients.set(host, keep(GrpcClient.ofIngress(host, stage.tlsPort, stage.ca)));
  }
});

after(async () => {
  for (const it of open.reverse()) {
    if (Symbol.asyncDispose in it) await it[Symbol.asyncDispose]();
    else it[Symbol.dispose]();
  }
});

/** What a call failed with. */
const failure = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(() => assert.fail("the call went well"), (error) => error);

/** Messages of a stream, as text, up to its end. */
async function texts(stream: AsyncIterable<Buffer>): Promise<string[]> {
  const all: string[] = [];
  for await (const message of stream) all.push(message.toString());
  return all;
}

for (const [kind, host] of [["h2c", CLEAR], ["h2 over TLS", SECURE]] as const) {
  const client = () => clients.get(host)!;

  test(`gRPC, ${kind}: a unary call with metadata, binary too, both ways and in trailers`, async () => {
    const metadata = new Metadata();
    metadata.set("x-text", "one");
    metadata.set("x-bytes-bin", Buffer.from([0, 1, 255]));
    const { answer, metadata: head, trailers } = await client().call(Buffer.from("hello"), { metadata });
    assert.equal(answer.toString(), "hello");
    assert.deepEqual(head.get("seen-x-text"), ["one"]);
    assert.deepEqual(head.get("seen-x-bytes-bin"), [Buffer.from([0, 1, 255])]);
    assert.deepEqual(trailers.get("bytes"), ["5"]);
    assert.deepEqual(trailers.get("peer-bin"), [Buffer.from([1, 2, 254])]);
  });

  test(`gRPC, ${kind}: a client's stream, a server's stream, an empty one`, async () => {
    const sum = await new Promise<string>((resolve, reject) => {
      const call = client().clientStream((error, value) =>
        error === null ? resolve(value!.toString()) : reject(error)
      );
      for (let i = 0; i < 500; i++) call.write(Buffer.alloc(100));
      call.end();
    });
    assert.equal(sum, "500 50000");
    const counted = await texts(client().serverStream(Buffer.from("500")));
    assert.deepEqual(counted, Array.from({ length: 500 }, (_, i) => String(i)));
    assert.deepEqual(await texts(client().serverStream(Buffer.from("0"))), []);
  });

  test(`gRPC, ${kind}: both ways at once: a message is sent when the one before has come back`, async () => {
    const call = client().bidi();
    let sent = 0;
    call.write(Buffer.from(String(sent)));
    for await (const message of call) {
      assert.equal(message.toString(), String(sent));
      if (++sent === 100) call.end();
      else call.write(Buffer.from(String(sent)));
    }
    assert.equal(sent, 100);
  });

  test(`gRPC, ${kind}: an error status with details in its trailers`, async () => {
    const error = await failure(client().call(Buffer.from("fail")));
    assert.equal(error.code, status.FAILED_PRECONDITION);
    assert.equal(error.details, "not now: 100 % ünready");
    assert.deepEqual(error.metadata.get("reason"), ["it is so"]);
    assert.deepEqual(error.metadata.get("details-bin"), [Buffer.from([0, 255, 1])]);
  });

  test(`gRPC, ${kind}: a response of trailers only is one HEADERS that ends the stream`, async () => {
    const session = await http2User({ port: stage.tlsPort, servername: host, ca: stage.ca });
    const stream = session.request({
      ":method": "POST",
      ":path": "/sallyport.test.Echo/Unary",
      ":authority": host,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, 4]), Buffer.from("fail")]));
    const [headers, flags] = await once(stream, "response");
    assert.equal(headers["grpc-status"], String(status.FAILED_PRECONDITION));
    assert.equal(flags & 1, 1);
    session.destroy();
  });

  test(`gRPC, ${kind}: a deadline reaches the backend, and the call ends there as for the caller`, async () => {
    let name = "";
    // One that is over before the backend has heard of the call says nothing: the next is longer.
    for (let ms = 500; ms < 60_000 && !seen.includes(`began ${name}`); ms *= 3) {
      name = `hang:deadline of ${ms} ms, ${kind}`;
      const error = await failure(client().call(Buffer.from(name), { deadline: Date.now() + ms }));
      assert.equal(error.code, status.DEADLINE_EXCEEDED);
    }
    await sight(`deadline ${name}`);
    await sight(`cancelled ${name}`);
  });

  test(`gRPC, ${kind}: a caller who cancels ends the call at the backend, unary and streams`, async () => {
    const name = `hang:cancel ${kind}`;
    const unary = Promise.withResolvers<Buffer>();
    const call = client().unary(
      Buffer.from(name),
      (error, value) => error === null ? unary.resolve(value!) : unary.reject(error),
    );
    await sight(`began ${name}`);
    assert.ok(!seen.includes(`cancelled ${name}`));
    call.cancel();
    assert.equal((await failure(unary.promise)).code, status.CANCELLED);
    await sight(`cancelled ${name}`);
    const stream = client().serverStream(Buffer.from(`stream ${kind}`));
    const ended = Promise.withResolvers<ServiceError>();
    stream.on("error", ended.resolve);
    await once(stream, "data");
    stream.cancel();
    assert.equal((await ended.promise).code, status.CANCELLED);
    await sight(`cancelled stream ${kind}`);
  });

  test(`gRPC, ${kind}: messages of 9 MiB, both ways and in a stream`, async () => {
    const message = Buffer.alloc(9 * 1024 * 1024);
    for (let i = 0; i < message.length; i += 997) message[i] = i;
    const { answer } = await client().call(message);
    assert.ok(answer.equals(message));
    const call = client().bidi();
    call.write(message);
    call.end(message);
    let echoes = 0;
    for await (const echo of call) {
      assert.ok(message.equals(echo));
      echoes++;
    }
    assert.equal(echoes, 2);
  });

  test(`gRPC, ${kind}: 100 calls at once on one channel`, async () => {
    const calls = Array.from({ length: 100 }, (_, i) => client().call(Buffer.from(`call ${i}`)));
    const answers = await Promise.all(calls);
    assert.deepEqual(answers.map(({ answer }) => answer.toString()), answers.map((_, i) => `call ${i}`));
  });
}

test("gRPC: a backend that says GOAWAY over and over under load fails no call", async () => {
  const client = clients.get(AGED)!;
  let made = 0;
  const caller = async () => {
    while (toAged.accepted < 5) {
      const text = String(made++);
      assert.equal((await client.call(Buffer.from(text))).answer.toString(), text);
    }
  };
  await Promise.all(Array.from({ length: 20 }, caller));
  assert.ok(made > 20);
});

test("gRPC: a backend that dies half-way ends the call with an error, never as if it were whole", async () => {
  const client = clients.get(CUT)!;
  const broken: readonly number[] = [status.UNAVAILABLE, status.INTERNAL];
  const stream = client.serverStream(Buffer.from("dies in a stream"));
  const ended = Promise.withResolvers<ServiceError>();
  stream.on("error", ended.resolve);
  await once(stream, "data");
  toCut.cut();
  assert.ok(broken.includes((await ended.promise).code));
  const unary = failure(client.call(Buffer.from("hang:dies")));
  await sight("began hang:dies");
  toCut.cut();
  assert.ok(broken.includes((await unary).code));
  // And the next one has a new connection.
  assert.equal((await client.call(Buffer.from("again"))).answer.toString(), "again");
});

test("gRPC: nothing of all that is left on the lanes", async () => {
  await stage.lanesIdle();
});
