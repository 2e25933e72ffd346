import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestFacts } from "../../../../src/broker/ingress/client_facts.ts";
import { hasLooped, markRequest, viaNames } from "../../../../src/broker/ingress/request_marks.ts";
import { type Route, routeOf } from "../../../../src/broker/ingress/route.ts";
import { appRecord } from "../../../support/app_record.ts";

const via = viaNames("fingerprint");
const facts: RequestFacts = {
  address: "192.0.2.1",
  forwardedFor: "192.0.2.1",
  proto: "https",
  host: "x.test:8443",
};

function route(settings: object): Route {
  return routeOf(
    appRecord({ id: "a", externalUrls: ["https://x.test"], ...settings }),
    "https://x.test",
  ) as Route;
}

function marked(settings: object, more: Partial<RequestFacts> = {}): string[] {
  const headers: string[] = [];
  markRequest(headers, { ...facts, ...more }, route(settings), via.http2);
  return headers;
}

test("a broker's name in Via is the same after each start, and another for another installation", () => {
  assert.deepEqual(viaNames("fingerprint"), via);
  assert.notEqual(viaNames("other").pseudonym, via.pseudonym);
  assert.match(via.http11, /^1\.1 sallyport-[0-9a-f]{16}$/);
  assert.ok(!via.pseudonym.includes("fingerprint"));
});

test("a request that has been here is known by its Via, among others and in any spelling", () => {
  assert.equal(hasLooped(["a", "b", "VIA", `1.0 fred, ${via.http11} (x)`], via), true);
  assert.equal(hasLooped(["via", "1.1 fred", "via", via.http2], via), true);
  assert.equal(hasLooped(["via", viaNames("other").http11, "x-via", via.http11], via), false);
});

test("Forwarded names the user and the trusted proxies between, quoted where it must be", () => {
  assert.deepEqual(marked({ forwardedHeader: false }), ["Via", via.http2]);
  assert.equal(marked({})[3], 'for=192.0.2.1;host="x.test:8443";proto=https');
  assert.equal(
    marked({}, { forwardedFor: "2001:db8::1, 10.0.0.1, ::1" })[3],
    'for="[2001:db8::1]";host="x.test:8443";proto=https, for=10.0.0.1, for="[::1]"',
  );
});

test("an app's own changes come last", () => {
  const requestHeaders = [{ action: "set", name: "x-a", value: "1" }];
  assert.deepEqual(marked({ forwardedHeader: false, requestHeaders }), ["Via", via.http2, "x-a", "1"]);
});
