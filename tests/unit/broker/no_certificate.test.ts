import assert from "node:assert/strict";
import { test } from "node:test";
import { UncoveredHosts } from "../../../src/broker/no_certificate.ts";

function app(id: string, externalUrls: string[], enabled = true) {
  return { id, enabled, externalUrls };
}

test("uncovered hosts: of enabled apps on https, each told once, and again after it was covered", () => {
  const covered = new Set(["a.test"]);
  const hosts = new UncoveredHosts((host) => covered.has(host));
  const apps = [
    app("1", ["https://a.test/", "https://b.test:8443/x", "http://plain.test/"]),
    app("2", ["https://b.test/y"]),
    app("3", ["https://off.test/"], false),
  ];
  assert.deepEqual(hosts.take(apps), [{ host: "b.test", app: "1" }]);
  assert.deepEqual(hosts.take(apps), []);
  covered.add("b.test");
  assert.deepEqual(hosts.take(apps), []);
  covered.delete("b.test");
  assert.deepEqual(hosts.take(apps), [{ host: "b.test", app: "1" }]);
});
