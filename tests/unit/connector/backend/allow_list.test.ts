import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AllowList } from "../../../../src/connector/backend/allow_list.ts";
import { assertHolds } from "../../../support/property.ts";

const permits = (patterns: string[], host: string, port: number, address = host) =>
  new AllowList(patterns).permits(host, port, address);

const TABLE: [string[], string, number, string, boolean][] = [
  // An empty list: everything but special addresses.
  [[], "wiki", 80, "10.0.0.5", true],
  [[], "localhost", 80, "127.0.0.1", true],
  [[], "localhost", 80, "::1", true],
  [[], "wiki", 80, "fd12::5", true],
  [[], "wiki", 80, "169.254.1.1", false],
  [[], "wiki", 80, "169.254.169.254", false],
  [[], "wiki", 80, "::ffff:169.254.169.254", false],
  [[], "wiki", 80, "::ffff:a9fe:a9fe", false],
  [[], "wiki", 80, "64:ff9b::a9fe:a9fe", false],
  [[], "wiki", 80, "2002:a9fe:a9fe::1", false],
  [[], "wiki", 80, "64:ff9b::a00:5", true],
  [[], "wiki", 80, "fe80::1%eth0", false],
  [[], "wiki", 80, "fd00:ec2::254", false],
  [[], "wiki", 80, "100.100.100.200", false],
  [[], "wiki", 80, "100.100.100.201", true],
  [[], "wiki", 80, "0.0.0.0", false],
  [[], "wiki", 80, "::", false],
  [[], "wiki", 80, "224.0.0.1", false],
  [[], "wiki", 80, "ff02::1", false],
  [[], "wiki", 80, "255.255.255.255", false],
  [[], "wiki", 80, "not an address", false],
  [[], "wiki", 80, "010.0.0.5", false],
  // Names.
  [["wiki.corp.example:443"], "wiki.corp.example", 443, "10.0.0.5", true],
  [["wiki.corp.example:443"], "WIKI.corp.example.", 443, "10.0.0.5", true],
  [["wiki.corp.example:443"], "wiki.corp.example", 80, "10.0.0.5", false],
  [["wiki.corp.example:443"], "other.corp.example", 443, "10.0.0.5", false],
  [["wiki.corp.example"], "wiki.corp.example", 8080, "10.0.0.5", true],
  [["wiki.corp.example:*"], "wiki.corp.example", 8080, "10.0.0.5", true],
  [["*.corp.example:443"], "wiki.corp.example", 443, "10.0.0.5", true],
  [["*.corp.example:443"], "a.b.corp.example", 443, "10.0.0.5", true],
  [["*.corp.example:443"], "corp.example", 443, "10.0.0.5", false],
  [["*.corp.example:443"], "evilcorp.example", 443, "10.0.0.5", false],
  [["*:443"], "anything", 443, "10.0.0.5", true],
  [["*:443"], "anything", 80, "10.0.0.5", false],
  // Addresses and networks match what was resolved.
  [["10.0.0.0/8:*"], "wiki", 80, "10.255.0.1", true],
  [["10.0.0.0/8:*"], "wiki", 80, "11.0.0.1", false],
  [["10.0.0.0/8:*"], "wiki", 80, "::ffff:10.1.2.3", true],
  [["::ffff:10.0.0.0/104"], "wiki", 80, "10.1.2.3", true],
  [["10.0.0.5"], "10.0.0.5", 80, "10.0.0.5", true],
  [["10.0.0.5:80"], "10.0.0.5", 81, "10.0.0.5", false],
  [["[2001:db8::/32]:443"], "wiki", 443, "2001:db8:1::1", true],
  [["[2001:db8::]/32:443"], "wiki", 443, "2001:db8:1::1", true],
  [["[2001:db8::/32]:443"], "wiki", 443, "2001:db9::1", false],
  [["2001:db8::1"], "2001:db8::1", 443, "2001:db8::1", true],
  [["0.0.0.0/0"], "wiki", 443, "2001:db8::1", false],
  // Special addresses need to be listed as such.
  [["*"], "wiki", 80, "169.254.169.254", false],
  [["0.0.0.0/0"], "wiki", 80, "169.254.169.254", false],
  [["::/0"], "wiki", 80, "fe80::1", false],
  [["169.254.0.0/15"], "wiki", 80, "169.254.1.1", false],
  [["*.corp.example:80"], "wiki.corp.example", 80, "169.254.1.1", false],
  [["wiki.corp.example"], "wiki.corp.example", 80, "169.254.1.1", false],
  [["wiki.corp.example:*"], "wiki.corp.example", 80, "169.254.1.1", false],
  [["wiki.corp.example:80"], "wiki.corp.example", 80, "169.254.1.1", true],
  [["169.254.169.254:80"], "169.254.169.254", 80, "169.254.169.254", true],
  [["169.254.169.254:80"], "169.254.169.254", 81, "169.254.169.254", false],
  [["169.254.7.0/24"], "wiki", 80, "169.254.7.9", true],
  [["169.254.7.0/24"], "wiki", 80, "169.254.8.9", false],
  [["fe80::/10"], "wiki", 80, "fe80::1", true],
];

for (const [patterns, host, port, address, expected] of TABLE) {
  test(`[${patterns}] ${expected ? "permits" : "refuses"} ${host}:${port} at ${address}`, () => {
    assert.equal(permits(patterns, host, port, address), expected);
  });
}

for (
  const pattern of [
    "",
    ":80",
    "a b:80",
    "wiki:0",
    "wiki:65536",
    "wiki:http",
    "wiki:",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "1.2.3",
    "1.2.3.256",
    "010.0.0.1",
    "[::1",
    "[fe80::1%eth0]:80",
    "2001:db8::/129",
    "*.*.example",
    "wi*ki",
    "http://wiki",
    "*.",
  ]
) {
  test(`pattern "${pattern}" is refused`, () => {
    assert.throws(() => new AllowList([pattern]), { code: "allow_list_invalid" });
  });
}

const octet = fc.integer({ min: 0, max: 255 });
const ipv4 = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join("."));

test("no list without an address pattern or an exact name:port ever opens a metadata address", () => {
  const broad = fc.constantFrom("*", "*:80", "0.0.0.0/0", "::/0", "*.example", "a.example", "128.0.0.0/1:80");
  const metadata = fc.constantFrom(
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "fd00:ec2::254",
    "100.100.100.200",
  );
  assertHolds(fc.property(fc.array(broad), metadata, (patterns, address) => {
    assert.equal(permits(patterns, "a.example", 80, address), false);
  }));
});

test("a network permits exactly the addresses that share its prefix, also when they come IPv4-mapped", () => {
  const number = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  assertHolds(fc.property(ipv4, ipv4, fc.integer({ min: 0, max: 32 }), (base, address, bits) => {
    const list = new AllowList([`${base}/${bits}`]);
    const unit = 2 ** (32 - bits);
    const inside = Math.floor(number(base) / unit) === Math.floor(number(address) / unit);
    if (!inside) assert.equal(list.permits("x", 1, address), false);
    else if (new AllowList([]).permits("x", 1, address)) assert.equal(list.permits("x", 1, address), true);
    assert.equal(list.permits("x", 1, `::ffff:${address}`), list.permits("x", 1, address));
  }));
});

test("any text is either a pattern or an AllowListError", () => {
  assertHolds(fc.property(fc.string(), (text) => {
    try {
      new AllowList([text]).permits("x", 1, "10.0.0.1");
    } catch (error) {
      assert.equal((error as { code?: string }).code, "allow_list_invalid");
    }
  }));
});
