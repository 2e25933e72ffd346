import assert from "node:assert/strict";
import { test } from "node:test";
import { normalizeAddress, parseCidrList } from "../../../../src/broker/listener/address.ts";

test("normalizeAddress writes an address in one way", () => {
  const cases = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:C000:0201": "192.0.2.1",
    "FE80::1%eth0": "fe80::1",
    "2001:DB8::1": "2001:db8::1",
    "2001:0db8:0:0:0:0:0:1": "2001:db8::1",
    "0:0:0:0:0:ffff:192.0.2.1": "192.0.2.1",
    "0000::ffff:c000:201": "192.0.2.1",
    "::ffff:0:192.0.2.1": "::ffff:0:c000:201",
    "not:an:address": "not:an:address",
    "::1]/x": "::1]/x",
    "": "",
  };
  for (const [address, normal] of Object.entries(cases)) assert.equal(normalizeAddress(address), normal);
});

test("a CidrList contains what lies in its networks, IPv4-mapped addresses included", () => {
  const list = parseCidrList(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:172.16.0.0/108", " ::1 "]);
  const cases: Record<string, boolean> = {
    "10.255.0.1": true,
    "::ffff:10.0.0.1]:80/": false,
    "11.0.0.1": false,
    "::ffff:10.1.2.3": true,
    "192.0.2.7": true,
    "192.0.2.8": false,
    "2001:db8:ffff::1": true,
    "2001:db9::1": false,
    "172.16.5.5": true,
    "::1": true,
    "": false,
    "localhost": false,
  };
  for (const [address, inside] of Object.entries(cases)) {
    assert.equal(list.contains(address), inside, address);
  }
  assert.equal(parseCidrList([]).empty, true);
  assert.equal(parseCidrList([]).contains("127.0.0.1"), false);
});

test("a network of IPv6 contains no IPv4 address, though all are mapped into ::/64", () => {
  for (const network of ["::1/64", "::/0"]) {
    const list = parseCidrList([network]);
    assert.equal(list.contains("::5"), true, network);
    assert.equal(list.contains("10.0.0.1"), false, network);
    assert.equal(list.contains("::ffff:10.0.0.1"), false, network);
  }
});

test("parseCidrList refuses what is not a network", () => {
  for (
    const network of [
      "",
      "10.0.0.0/33",
      "10.0.0/8",
      "::/129",
      "host",
      "10.0.0.0/",
      "10.0.0.0/-1",
      "fe80::1%eth0",
    ]
  ) {
    assert.throws(() => parseCidrList([network]), { code: "cidr_invalid" }, network);
  }
});
