import assert from "node:assert/strict";
import { test } from "node:test";
import { createClientFacts } from "../../../../src/broker/ingress/client_facts.ts";
import { parseCidrList } from "../../../../src/broker/listener/address.ts";

const facts = createClientFacts(parseCidrList(["10.0.0.0/8", "2001:db8::/32"]));

function request(remoteAddress: string, headers: string[], encrypted = false) {
  const connection = facts.connection({ remoteAddress, remotePort: 5, encrypted });
  return facts.request(connection, headers, "app.test");
}

test("forwarding headers of a user are not believed", () => {
  const forged = [
    "X-Forwarded-For",
    "1.2.3.4",
    "X-Forwarded-Proto",
    "https",
    "X-Forwarded-Host",
    "evil.test",
    "Forwarded",
    "for=1.2.3.4",
  ];
  assert.deepEqual(request("::ffff:192.0.2.9", forged), {
    address: "192.0.2.9",
    forwardedFor: "192.0.2.9",
    proto: "http",
    host: "app.test",
  });
  assert.equal(request("192.0.2.9", [], true).proto, "https");
});

test("a chain of trusted proxies is walked from the right, as far as it is trusted", () => {
  const cases: [string, string[], [string, string, string, string]][] = [
    ["one proxy", ["x-forwarded-for", "192.0.2.1"], ["192.0.2.1", "192.0.2.1, 10.0.0.1", "http", "app.test"]],
    ["what the user forged is cut off", ["X-Forwarded-For", "6.6.6.6, 192.0.2.1"], [
      "192.0.2.1",
      "192.0.2.1, 10.0.0.1",
      "http",
      "app.test",
    ]],
    ["two proxies, two lines", ["X-Forwarded-For", "6.6.6.6,192.0.2.1", "X-FORWARDED-FOR", "10.0.0.2"], [
      "192.0.2.1",
      "192.0.2.1, 10.0.0.2, 10.0.0.1",
      "http",
      "app.test",
    ]],
    ["ports and brackets", ["X-Forwarded-For", "192.0.2.1:99, [2001:db8::7]:80"], [
      "192.0.2.1",
      "192.0.2.1, 2001:db8::7, 10.0.0.1",
      "http",
      "app.test",
    ]],
    ["what is not an address ends the walk", ["X-Forwarded-For", "192.0.2.1, unknown"], [
      "10.0.0.1",
      "10.0.0.1",
      "http",
      "app.test",
    ]],
    ["only trusted addresses", ["X-Forwarded-For", "10.0.0.3, 10.0.0.2"], [
      "10.0.0.3",
      "10.0.0.3, 10.0.0.2, 10.0.0.1",
      "http",
      "app.test",
    ]],
    ["proto and host", [
      "X-Forwarded-For",
      "192.0.2.1",
      "X-Forwarded-Proto",
      "HTTPS",
      "X-Forwarded-Host",
      "www.test:8443",
    ], ["192.0.2.1", "192.0.2.1, 10.0.0.1", "https", "www.test:8443"]],
    ["proto set once by the outermost of two", [
      "X-Forwarded-For",
      "192.0.2.1, 10.0.0.2",
      "X-Forwarded-Proto",
      "https",
    ], ["192.0.2.1", "192.0.2.1, 10.0.0.2, 10.0.0.1", "https", "app.test"]],
    ["proto alone", ["X-Forwarded-Proto", "https"], ["10.0.0.1", "10.0.0.1", "https", "app.test"]],
    ["odd proto and host", ["X-Forwarded-Proto", "gopher", "X-Forwarded-Host", "a b/c"], [
      "10.0.0.1",
      "10.0.0.1",
      "http",
      "app.test",
    ]],
    ["Forwarded", [
      "Forwarded",
      'for=6.6.6.6, for=192.0.2.1;proto=https;host="www.test"',
      "forwarded",
      'For="[2001:db8::7]:80"',
    ], ["192.0.2.1", "192.0.2.1, 2001:db8::7, 10.0.0.1", "https", "www.test"]],
    ["Forwarded, hidden", ["Forwarded", "for=_secret;proto=https"], [
      "10.0.0.1",
      "10.0.0.1",
      "https",
      "app.test",
    ]],
    ["X-Forwarded-For wins over Forwarded", ["Forwarded", "for=192.0.2.8", "X-Forwarded-For", "192.0.2.1"], [
      "192.0.2.1",
      "192.0.2.1, 10.0.0.1",
      "http",
      "app.test",
    ]],
  ];
  for (const [name, headers, [address, forwardedFor, proto, host]] of cases) {
    assert.deepEqual(request("::ffff:10.0.0.1", headers), { address, forwardedFor, proto, host }, name);
  }
});

test("an endless chain is cut", () => {
  const { forwardedFor } = request("10.0.0.1", ["X-Forwarded-For", Array(5_000).fill("10.0.0.2").join(",")]);
  assert.ok(forwardedFor.split(", ").length <= 33);
});

test("a connection is looked at once, and one that is gone is nobody's", () => {
  const socket = { remoteAddress: "10.0.0.1", remotePort: 5, encrypted: true };
  const first = facts.connection(socket);
  assert.deepEqual(first, { address: "10.0.0.1", port: 5, proto: "https", trusted: true, serverName: "" });
  assert.equal(facts.connection(socket), first);
  assert.deepEqual(facts.connection({}), {
    address: "",
    port: 0,
    proto: "http",
    trusted: false,
    serverName: "",
  });
  const named = facts.connection({ ...socket, servername: "A.Example.Test." });
  assert.equal(named.serverName, "a.example.test");
});

test("headers as long as a head may be are read in one pass, quotes and escapes too", () => {
  const long = 64 * 1024;
  for (
    const value of [
      "a".repeat(long),
      '"'.repeat(long),
      '"' + '\\"'.repeat(long / 2),
      ",".repeat(long),
      ";".repeat(long),
      '="'.repeat(long / 2),
    ]
  ) {
    for (const name of ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"]) {
      assert.equal(request("10.0.0.1", [name, value]).address, "10.0.0.1");
    }
  }
  const hops = "192.0.2.66, " + "10.0.0.7, ".repeat(100) + "192.0.2.1";
  assert.equal(request("10.0.0.1", ["X-Forwarded-For", hops]).address, "192.0.2.1");
});

test("Forwarded with quoted commas, semicolons and escapes", () => {
  const said = request("10.0.0.1", [
    "Forwarded",
    'for="_a,b;c", by="x\\"y";host="a.test:1";For="[2001:db9::1]:9"',
  ]);
  assert.deepEqual([said.address, said.host], ["2001:db9::1", "a.test:1"]);
});
