import assert from "node:assert/strict";
import { test } from "node:test";
import type { CookiePolicy } from "../../../../../src/broker/app_traffic.ts";
import { cookiePolicyOf, translateSetCookie } from "../../../../../src/broker/ingress/response/set_cookie.ts";
import { UrlMap, type UserOrigin } from "../../../../../src/broker/ingress/response/url_map.ts";

const user: UserOrigin = { proto: "https", host: "app.example.com:8443" };
const OFF: CookiePolicy = { secure: false, httpOnly: false, sameSite: "keep" };

function map(internalPath = "/wiki", externalPrefix = "/docs"): UrlMap {
  return new UrlMap({ internalOrigin: "http://be.corp.test", internalPath, externalPrefix, userHost: false });
}

test("Set-Cookie: Domain of the backend is taken away, Path translated, the rest kept", () => {
  const table: [string, string][] = [
    ["a=1", "a=1"],
    ["a=1; Domain=be.corp.test; Path=/wiki", "a=1; Path=/docs"],
    ["a=1; domain=.corp.test;path=/wiki/x", "a=1;path=/docs/x"],
    ["a=1; Domain=BE.Corp.Test", "a=1"],
    ["a=1; Domain=other.test", "a=1; Domain=other.test"],
    ["a=1; Domain=.example.com", "a=1; Domain=.example.com"],
    ["a=1; Path=/", "a=1; Path=/"],
    ["a=1; Path=/wiki/", "a=1; Path=/docs"],
    ["a=1; Path=/wikipedia", "a=1; Path=/wikipedia"],
    ["a=1; Path=x", "a=1; Path=x"],
    ["a=1; Path", "a=1; Path"],
    [
      'a="x, y=z"; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0',
      'a="x, y=z"; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0',
    ],
    ["a=Path=/wiki; HttpOnly", "a=Path=/wiki; HttpOnly"],
    ["__Host-a=1; Secure; Path=/", "__Host-a=1; Secure; Path=/"],
    ["", ""],
  ];
  for (const [value, expected] of table) {
    assert.equal(translateSetCookie(value, { map: map(), policy: null }, user), expected);
    assert.equal(translateSetCookie(value, { map: null, policy: null }, user), value);
  }
});

test("Set-Cookie: Path from and to the root, and above the app", () => {
  const path = (internal: string, external: string, value: string) =>
    translateSetCookie(`a=1; Path=${value}`, { map: map(internal, external), policy: null }, user).slice(10);
  assert.equal(path("/", "/docs", "/"), "/docs");
  assert.equal(path("/", "/docs", "/x"), "/docs/x");
  assert.equal(path("/wiki", "", "/wiki"), "/");
  assert.equal(path("/wiki", "", "/wiki/x"), "/x");
  assert.equal(path("/a/wiki", "/docs", "/a"), "/docs");
  assert.equal(path("/a/wiki", "/docs", "/a/"), "/docs");
  assert.equal(path("/", "", "/x"), "/x");
  const host = translateSetCookie("__host-a=1; Path=/", { map: map("/", "/docs"), policy: null }, user);
  assert.equal(host, "__host-a=1; Path=/");
});

test("Set-Cookie: attributes are enforced, once", () => {
  const apply = (value: string, policy: Partial<CookiePolicy>, who = user) =>
    translateSetCookie(value, { map: null, policy: cookiePolicyOf({ ...OFF, ...policy }) }, who);
  const plain: UserOrigin = { ...user, proto: "http" };
  assert.equal(apply("a=1", { secure: true }), "a=1; Secure");
  assert.equal(apply("a=1; SECURE", { secure: true }), "a=1; SECURE");
  assert.equal(apply("a=1", { secure: true }, plain), "a=1");
  assert.equal(apply("a=1;httponly", { httpOnly: true }), "a=1;httponly");
  assert.equal(apply("a=1", { httpOnly: true }), "a=1; HttpOnly");
  assert.equal(apply("a=1; samesite=None; Path=/", { sameSite: "strict" }), "a=1; Path=/; SameSite=Strict");
  assert.equal(apply("a=1", { sameSite: "lax" }), "a=1; SameSite=Lax");
  assert.equal(apply("a=1", { sameSite: "none" }), "a=1; SameSite=None; Secure");
  assert.equal(cookiePolicyOf(OFF), null);
});
