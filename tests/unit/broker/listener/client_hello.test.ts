import assert from "node:assert/strict";
import { test } from "node:test";
import { Duplex } from "node:stream";
import { Buffer } from "node:buffer";
import { connect, type ConnectionOptions } from "node:tls";
import fc from "fast-check";
import { CLIENT_HELLO_LIMIT, parseClientHello } from "../../../../src/broker/listener/client_hello.ts";
import { assertHolds } from "../../../support/property.ts";

/** The first bytes that a real TLS client of this runtime sends. */
function helloOf(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        resolve(Buffer.from(chunk));
        done();
        setImmediate(() => client.destroy());
      },
    });
    const client = connect({ socket: wire, rejectUnauthorized: false, ...options });
    client.on("error", () => {});
  });
}

const u8 = (n: number) => Buffer.from([n]);
const u16 = (n: number) => Buffer.from([n >> 8, n & 255]);
const u24 = (n: number) => Buffer.from([n >> 16, (n >> 8) & 255, n & 255]);
const vector = (width: (n: number) => Buffer, ...parts: Buffer[]) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([width(body.length), body]);
};
const extension = (type: number, ...parts: Buffer[]) => Buffer.concat([u16(type), vector(u16, ...parts)]);
const serverName = (name: string) =>
  extension(0, vector(u16, u8(0), vector(u16, Buffer.from(name, "latin1"))));
const alpn = (...names: string[]) =>
  extension(16, vector(u16, ...names.map((name) => vector(u8, Buffer.from(name)))));

function handshake(...extensions: Buffer[]): Buffer {
  const fields = [u16(0x0303), Buffer.alloc(32, 7), vector(u8), vector(u16, u16(0x1301)), vector(u8, u8(0))];
  return Buffer.concat([u8(1), vector(u24, ...fields, vector(u16, ...extensions))]);
}
function records(message: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    parts.push(u8(22), u16(0x0301), vector(u16, message.subarray(at, at + size)));
  }
  return Buffer.concat(parts);
}

test("a real client's ClientHello gives its name and protocols", async () => {
  const bytes = await helloOf({ servername: "Wiki.Example.COM", ALPNProtocols: ["h2", "http/1.1"] });
  const step = parseClientHello(bytes);
  assert.deepEqual(step, {
    state: "complete",
    value: { serverName: "wiki.example.com", alpn: ["h2", "http/1.1"] },
    consumed: 0,
  });
  const bare = parseClientHello(await helloOf({ minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }));
  assert.deepEqual(bare, { state: "complete", value: { serverName: undefined, alpn: [] }, consumed: 0 });
});

test("a ClientHello is read at every cut point, whatever records it is spread over", () => {
  const message = handshake(serverName("a.example."), alpn("h2"));
  for (const size of [Math.ceil(message.length / 32), 5, 17, 50, 10_000]) {
    const bytes = records(message, size);
    for (let cut = 0; cut < bytes.length; cut++) {
      const step = parseClientHello(bytes.subarray(0, cut));
      assert.equal(step.state, "more", `record size ${size}, cut ${cut}`);
      assert.ok(step.state === "more" && step.need > cut && step.need <= bytes.length);
    }
    const step = parseClientHello(bytes);
    assert.deepEqual(step, {
      state: "complete",
      value: { serverName: "a.example", alpn: ["h2"] },
      consumed: 0,
    });
  }
});

test("what is not a sound ClientHello is an error", () => {
  const cases: Record<string, Buffer> = {
    "plain HTTP": Buffer.from("GET / HTTP/1.1\r\n"),
    "SSL 2": Buffer.from([0x80, 0x2e, 1, 0, 2]),
    "another handshake message": records(Buffer.concat([u8(2), handshake().subarray(1)]), 1000),
    "crumbs": records(handshake(serverName("a.example")), 1),
    "an empty record": Buffer.concat([u8(22), u16(0x0301), u16(0)]),
    "a name twice": records(handshake(serverName("a"), serverName("b")), 1000),
    "an odd name": records(handshake(serverName("a b")), 1000),
    "a name with NUL": records(handshake(serverName("a\0.b")), 1000),
    "an empty name": records(handshake(serverName("")), 1000),
    "a length that leads out": records(handshake(extension(0, u16(40), u8(0))), 1000),
    "bytes behind": records(Buffer.concat([handshake(), u8(0)]), 1000),
    "too long a record": Buffer.concat([u8(22), u16(0x0301), u16(CLIENT_HELLO_LIMIT)]),
    "too long a message": Buffer.concat([u8(22), u16(0x0301), vector(u16, u8(1), u24(CLIENT_HELLO_LIMIT))]),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    assert.equal(parseClientHello(bytes).state, "error", name);
  }
});

test("hostile bytes never throw and never ask for more than the limit", () => {
  const message = handshake(serverName("a.example"), alpn("h2"));
  assertHolds(fc.property(
    fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), { maxLength: 4 }),
    fc.integer({ min: 1, max: 200 }),
    (changes, size) => {
      const bytes = Buffer.from(message);
      for (const [at, value] of changes) bytes[at] = value;
      const step = parseClientHello(records(bytes, size));
      if (step.state === "more") assert.ok(step.need <= CLIENT_HELLO_LIMIT);
    },
  ));
  assertHolds(fc.property(fc.uint8Array({ maxLength: 300 }), (noise) => {
    const step = parseClientHello(noise);
    if (step.state === "more") assert.ok(step.need <= CLIENT_HELLO_LIMIT);
  }));
});
