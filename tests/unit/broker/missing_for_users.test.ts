import assert from "node:assert/strict";
import { test } from "node:test";
import type { BrokerConfiguration } from "../../../src/broker/config.ts";
import { missingForUsers } from "../../../src/broker/missing_for_users.ts";

const config = { publicListen: "[::]:443", plainListen: "" } as BrokerConfiguration;
const way = { config, publicPort: 443, hasCertificate: (host: string) => host === "wiki.example.com" };

test("missing for users: a certificate, a port for plain HTTP, the URL's port", () => {
  assert.deepEqual(missingForUsers("https://wiki.example.com/", way), []);
  const [certificate, ...noMore] = missingForUsers("https://other.example.com/", way);
  assert.match(certificate!, /no certificate for "other.example.com"/);
  assert.deepEqual(noMore, []);
  assert.match(missingForUsers("http://wiki.example.com/", way).join(), /plainListen/);
  assert.match(missingForUsers("https://wiki.example.com:8443/", way).join(), /port 443, not on 8443/);
  assert.equal(missingForUsers("https://other.example.com/", { ...way, publicPort: 8443 }).length, 2);
});

test("missing for users: nothing is claimed where something in front of the broker ends TLS", () => {
  for (const behind of [{ ...config, plainListen: "127.0.0.1:80" }, { ...config, publicListen: "" }]) {
    assert.deepEqual(missingForUsers("https://other.example.com/", { ...way, config: behind }), []);
  }
});
