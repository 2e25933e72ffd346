import assert from "node:assert/strict";
import { test } from "node:test";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { parseProxyHeader, PROXY_HEADER_LIMIT } from "../../../../src/broker/listener/proxy_protocol.ts";
import { assertHolds } from "../../../support/property.ts";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
function binary(command: number, family: number, payload: Buffer): Buffer {
  const length = Buffer.from([payload.length >> 8, payload.length & 255]);
  return Buffer.concat([SIGNATURE, Buffer.from([command, family]), length, payload]);
}
const IPV4 = Buffer.from([192, 0, 2, 1, 10, 0, 0, 1, 0xc0, 0x00, 0x01, 0xbb]);
const IPV6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from("20010db8000000000000000000000002", "hex"),
  Buffer.from([0x12, 0x34, 0x01, 0xbb]),
]);
const MAPPED = Buffer.concat([
  Buffer.from("00000000000000000000ffffc0000201", "hex"),
  Buffer.alloc(16),
  Buffer.from([0, 80, 0, 80]),
]);
const TLV = Buffer.from([0x01, 0x00, 0x02, 0x68, 0x32, 0x04, 0x00, 0x01, 0x00]);

const SOUND: [string, Buffer, { address: string; port: number } | undefined][] = [
  ["v1 TCP4", Buffer.from("PROXY TCP4 192.0.2.1 10.0.0.1 49152 443\r\n"), {
    address: "192.0.2.1",
    port: 49152,
  }],
  ["v1 TCP6", Buffer.from("PROXY TCP6 2001:db8::1 ::1 1 443\r\n"), { address: "2001:db8::1", port: 1 }],
  ["v1 UNKNOWN", Buffer.from("PROXY UNKNOWN\r\n"), undefined],
  [
    "v1 UNKNOWN with the longest rest",
    Buffer.from(`PROXY UNKNOWN ${"f".repeat(39)} ${"f".repeat(39)} 65535\r\n`),
    undefined,
  ],
  ["v2 IPv4", binary(0x21, 0x11, IPV4), { address: "192.0.2.1", port: 49152 }],
  ["v2 IPv4 with TLVs", binary(0x21, 0x11, Buffer.concat([IPV4, TLV])), {
    address: "192.0.2.1",
    port: 49152,
  }],
  ["v2 IPv6", binary(0x21, 0x21, IPV6), { address: "2001:db8::1", port: 0x1234 }],
  ["v2 IPv4-mapped", binary(0x21, 0x21, MAPPED), { address: "192.0.2.1", port: 80 }],
  ["v2 LOCAL", binary(0x20, 0x00, Buffer.alloc(0)), undefined],
  ["v2 LOCAL with addresses", binary(0x20, 0x11, IPV4), undefined],
  ["v2 unspecified", binary(0x21, 0x00, TLV), undefined],
  ["v2 Unix", binary(0x21, 0x31, Buffer.alloc(216)), undefined],
];

test("a PROXY header is read at every cut point, and only it is consumed", () => {
  for (const [name, header, source] of SOUND) {
    for (let cut = 0; cut < header.length; cut++) {
      const step = parseProxyHeader(header.subarray(0, cut));
      assert.equal(step.state, "more", `${name}, cut ${cut}`);
      assert.ok(
        step.state === "more" && step.need > cut && step.need <= header.length,
        `${name}, cut ${cut}`,
      );
    }
    const step = parseProxyHeader(Buffer.concat([header, Buffer.from("GET / HTTP/1.1\r\n")]));
    assert.deepEqual(step, { state: "complete", value: { source }, consumed: header.length }, name);
  }
});

test("what is not a sound PROXY header is an error", () => {
  const cases: Record<string, Buffer> = {
    "no header": Buffer.from("GET / HTTP/1.1\r\n"),
    "a ClientHello": Buffer.from([22, 3, 1, 0, 5]),
    "v1 without end": Buffer.from(`PROXY UNKNOWN ${"f".repeat(100)}`),
    "v1 bare LF": Buffer.from("PROXY UNKNOWN\n"),
    "v1 odd family": Buffer.from("PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n"),
    "v1 family and address differ": Buffer.from("PROXY TCP4 ::1 ::1 1 2\r\n"),
    "v1 not an address": Buffer.from("PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n"),
    "v1 odd port": Buffer.from("PROXY TCP4 192.0.2.1 10.0.0.1 70000 2\r\n"),
    "v1 port with leading zero": Buffer.from("PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n"),
    "v1 two spaces": Buffer.from("PROXY TCP4  192.0.2.1 10.0.0.1 1 2\r\n"),
    "v2 version 1": binary(0x11, 0x11, IPV4),
    "v2 unknown command": binary(0x22, 0x11, IPV4),
    "v2 datagram": binary(0x21, 0x12, IPV4),
    "v2 unknown family": binary(0x21, 0x41, IPV4),
    "v2 addresses cut short": binary(0x21, 0x21, IPV4),
    "v2 too long": Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])]),
  };
  for (const [name, bytes] of Object.entries(cases)) {
    assert.equal(parseProxyHeader(bytes).state, "error", name);
  }
});

test("hostile bytes never throw and never ask for more than the limit", () => {
  assertHolds(fc.property(
    fc.constantFrom(...SOUND.map(([, header]) => header)),
    fc.nat(),
    fc.nat(255),
    (header, at, value) => {
      const bytes = Buffer.from(header);
      bytes[at % bytes.length] = value;
      const step = parseProxyHeader(bytes);
      if (step.state === "more") assert.ok(step.need <= PROXY_HEADER_LIMIT);
      if (step.state === "complete") assert.ok(step.consumed <= bytes.length);
    },
  ));
});
