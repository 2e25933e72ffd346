import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UrlMap, type UserOrigin } from "../../../../../src/broker/ingress/response/url_map.ts";
import { assertHolds } from "../../../../support/property.ts";

const user: UserOrigin = { proto: "https", host: "ext.example.com" };

function map(internal: string, externalPrefix = "", userHost = false): UrlMap {
  const { origin, pathname } = new URL(internal);
  return new UrlMap({ internalOrigin: origin, internalPath: pathname, externalPrefix, userHost });
}

test("UrlMap: absolute URLs of the backend lead to the external origin, others stay", () => {
  const table: [internal: string, reference: string, expected: string][] = [
    ["http://be", "http://be/x", "https://ext.example.com/x"],
    ["http://be", "HTTP://BE/X?a=http://be/#f", "https://ext.example.com/X?a=http://be/#f"],
    ["http://be", "http://be", "https://ext.example.com"],
    ["http://be", "http://be?q", "https://ext.example.com?q"],
    ["http://be", "http://be#f", "https://ext.example.com#f"],
    ["http://be", "http://be:80/x", "https://ext.example.com/x"],
    ["http://be", "http://be:/x", "https://ext.example.com/x"],
    ["http://be", "http://be./x", "https://ext.example.com/x"],
    ["http://be", "http://be:8080/x", "http://be:8080/x"],
    ["http://be", "https://be/x", "https://be/x"],
    ["http://be", "http://be.other/x", "http://be.other/x"],
    ["http://be", "http://user@be/x", "http://user@be/x"],
    ["http://be:8080", "http://be:8080/x", "https://ext.example.com/x"],
    ["http://be:8080", "http://be/x", "http://be/x"],
    ["https://be", "https://be:443/x", "https://ext.example.com/x"],
    ["http://be", "//be/x", "//ext.example.com/x"],
    ["http://be", "//other/x", "//other/x"],
    ["http://[::1]:8080", "http://[0:0::1]:8080/x", "https://ext.example.com/x"],
    ["http://[::1]", "http://[::1]:80/x", "https://ext.example.com/x"],
    ["http://[::1]", "http://[::2]/x", "http://[::2]/x"],
    ["http://be", "/x", "/x"],
    ["http://be", "x", "x"],
    ["http://be", "../x", "../x"],
    ["http://be", "?q", "?q"],
    ["http://be", "", ""],
    ["http://be", "mailto:x@be", "mailto:x@be"],
    ["http://be", "javascript:alert('http://be/')", "javascript:alert('http://be/')"],
  ];
  for (const [internal, reference, expected] of table) {
    assert.equal(map(internal).translate(reference, user), expected, `${internal} ${reference}`);
  }
});

test("UrlMap: path prefixes are exchanged, whole segments only; what lies outside stays", () => {
  const table: [internal: string, prefix: string, reference: string, expected: string][] = [
    ["http://be/wiki", "/docs", "/wiki", "/docs"],
    ["http://be/wiki/", "/docs", "/wiki/a/b?c#d", "/docs/a/b?c#d"],
    ["http://be/wiki", "/docs", "/wiki?x", "/docs?x"],
    ["http://be/wiki", "/docs", "/wikipedia", "/wikipedia"],
    ["http://be/wiki", "/docs", "/other", "/other"],
    ["http://be/wiki", "/docs", "http://be/wiki/a", "https://ext.example.com/docs/a"],
    ["http://be/wiki", "/docs", "http://be/other", "http://be/other"],
    ["http://be/", "/docs", "/a", "/docs/a"],
    ["http://be/", "/docs", "/", "/docs/"],
    ["http://be/wiki", "", "/wiki/a", "/a"],
    ["http://be/wiki", "", "/wiki", "/"],
    ["http://be/wiki", "", "/wiki?a", "/?a"],
    ["http://be/wiki", "", "/wiki#a", "/#a"],
    ["http://be/wiki", "", "http://be/wiki?a", "https://ext.example.com?a"],
    ["http://be/wiki", "", "/wiki//other/a", "/.//other/a"],
    ["http://be/wiki", "", "/wiki/\\other/a", "/./\\other/a"],
    ["http://be/wiki", "", "/wiki/\t/other/a", "/./\t/other/a"],
    ["http://be/wiki", "", "http://be/wiki//other/a", "https://ext.example.com//other/a"],
    ["http://be/", "/docs", "/\\other/a", "/\\other/a"],
    ["http://be/wiki", "/wiki", "/wiki/a", "/wiki/a"],
    ["http://be/", "/it's(a)\"<>", "/a", "/it%27s%28a%29%22%3C%3E/a"],
  ];
  for (const [internal, prefix, reference, expected] of table) {
    assert.equal(
      map(internal, prefix).translate(reference, user),
      expected,
      `${internal} ${prefix} ${reference}`,
    );
  }
});

test("UrlMap: with the user's Host the backend's URLs have that host and its own scheme", () => {
  const table: [prefix: string, reference: string, expected: string][] = [
    ["/wiki", "http://ext.example.com/wiki/a", "https://ext.example.com/wiki/a"],
    ["/docs", "http://EXT.example.com/wiki/a", "https://ext.example.com/docs/a"],
    ["/docs", "https://ext.example.com/wiki/a", "https://ext.example.com/docs/a"],
    ["/docs", "https://ext.example.com/docs/a", "https://ext.example.com/docs/a"],
    ["/docs", "//ext.example.com/wiki/a", "//ext.example.com/docs/a"],
    ["/docs", "http://be/wiki/a", "https://ext.example.com/docs/a"],
    ["/docs", "http://ext.example.com:8080/wiki/a", "http://ext.example.com:8080/wiki/a"],
  ];
  for (const [prefix, reference, expected] of table) {
    assert.equal(
      map("http://be/wiki", prefix, true).translate(reference, user),
      expected,
      `${prefix} ${reference}`,
    );
  }
  const withPort: UserOrigin = { proto: "http", host: "ext.example.com:8080" };
  const one = map("https://be/wiki", "/docs", true);
  assert.equal(one.translate("https://be/wiki/a", withPort), "http://ext.example.com:8080/docs/a");
  assert.equal(
    one.translate("https://ext.example.com:8080/wiki/a", withPort),
    "http://ext.example.com:8080/docs/a",
  );
});

test("UrlMap: whatever it is given, it throws nothing, and keeps all behind the prefix", () => {
  const one = map("http://be/wiki", "/docs");
  assertHolds(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    one.translate(text, user);
    assert.equal(one.translate(`/wiki/${text}`, user), `/docs/${text}`);
    assert.equal(one.translate(`http://be/wiki/${text}`, user), `https://ext.example.com/docs/${text}`);
  }));
});

test("UrlMap: a path that is translated leads to the user's host, however browsers read it, and to what it led to", () => {
  const token = fc.constantFrom("/", "/", "\\", "\t", "\n", "wiki", "other.example", "?", "#", "a", ":", "@");
  const place = fc.constantFrom("http://be/", "http://be/wiki", "http://be/wiki/a");
  assertHolds(
    fc.property(place, fc.constantFrom("", "/docs"), fc.array(token), (internal, prefix, tokens) => {
      const inner = new URL(internal).pathname.replace(/\/$/, "");
      const reference = `${inner}/${tokens.join("")}`;
      const translated = map(internal, prefix).translate(reference, user);
      if (translated === reference) return;
      const seen = URL.parse(translated, "https://ext.example.com/some/page");
      assert.equal(seen?.host, "ext.example.com");
      const led = URL.parse(reference, "http://be/some/page");
      if (led?.host !== "be") return; // It led to another host before.
      assert.equal(
        seen.pathname + seen.search + seen.hash,
        prefix + (led.pathname + led.search + led.hash).slice(inner.length),
      );
    }),
    { numRuns: 500 },
  );
});
