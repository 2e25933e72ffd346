import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestFacts } from "../../../../src/broker/ingress/client_facts.ts";
import { translateRequestUrls } from "../../../../src/broker/ingress/request_translation.ts";
import { type Route, routeOf } from "../../../../src/broker/ingress/route.ts";
import type { App } from "../../../../src/broker/model.ts";
import { appRecord } from "../../../support/app_record.ts";

const facts: RequestFacts = {
  address: "192.0.2.1",
  forwardedFor: "192.0.2.1",
  proto: "https",
  host: "x.test",
};

/** What becomes of each value, as a Referer. */
function translated(
  values: string[],
  app: { external?: string; internal?: string; hostHeader?: App["hostHeader"] } = {},
) {
  const { external = "https://x.test", internal = "http://10.0.0.5:8080", hostHeader = "backend" } = app;
  const record = appRecord({ id: "a", externalUrls: [external], internalUrl: internal, hostHeader });
  const headers = values.flatMap((value) => ["Referer", value]);
  translateRequestUrls(headers, facts, routeOf(record, external) as Route);
  return headers.filter((_, i) => i % 2 === 1);
}

test("URLs of the app become the backend's, whatever their spelling", () => {
  assert.deepEqual(
    translated([
      "https://x.test",
      "HTTPS://X.test:443",
      "https://x.test./",
      "https://x.test/a%20b?q=https://x.test",
    ]),
    [
      "http://10.0.0.5:8080",
      "http://10.0.0.5:8080",
      "http://10.0.0.5:8080/",
      "http://10.0.0.5:8080/a%20b?q=https://x.test",
    ],
  );
});

test("URLs of others stay byte for byte", () => {
  const others = [
    ...[
      "null",
      "",
      "/a",
      "https://y.test",
      "http://x.test",
      "https://x.test:8443",
      "https://x.test.evil.example",
    ],
    ...[
      "https://u@x.test/",
      "https://x.test\\@evil.example/",
      "https://evil.example/https://x.test",
      "https://",
    ],
    ...["https://x.test https://x.test", "https://x.test/a\u00e9", "https://x.test/..%2fa"],
  ];
  assert.deepEqual(translated(others), others);
});

test("the path of the external URL is replaced by that of the internal one; what is outside of it stays", () => {
  const app = { external: "https://x.test/docs", internal: "http://10.0.0.5/wiki" };
  const urls = [
    "https://x.test",
    "https://x.test/docs",
    "https://x.test/docs/a?b",
    "https://x.test/docs2/a",
    "https://x.test/",
  ];
  assert.deepEqual(translated(urls, app), [
    ...["http://10.0.0.5", "http://10.0.0.5/wiki", "http://10.0.0.5/wiki/a?b"],
    ...["https://x.test/docs2/a", "https://x.test/"],
  ]);
});

test("a backend that gets the user's Host knows itself by that, and its own scheme", () => {
  assert.deepEqual(translated(["https://x.test/a"], { hostHeader: "user" }), ["http://x.test/a"]);
});

test("Origin, Referer and Destination are translated, in any spelling, and nothing else", () => {
  const value = "https://x.test/a";
  const headers = ["ORIGIN", "https://x.test", "referer", value, "Destination", value, "X-URL", value];
  const record = appRecord({ id: "a", externalUrls: ["https://x.test"], internalUrl: "http://10.0.0.5" });
  translateRequestUrls(headers, facts, routeOf(record, "https://x.test") as Route);
  const inner = "http://10.0.0.5/a";
  assert.deepEqual(headers, [
    ...["ORIGIN", "http://10.0.0.5", "referer", inner, "Destination", inner, "X-URL", value],
  ]);
});
