import assert from "node:assert/strict";
import { test } from "node:test";
import { checkExternalUrl, checkInternalUrl } from "../../../../src/broker/admin/published_url.ts";

const GOOD: [string, string][] = [
  ["https://wiki.example.com", "https://wiki.example.com/"],
  ["HTTPS://WIKI.example.com:443/Docs/", "https://wiki.example.com/Docs"],
  ["http://*.example.com:8080/a", "http://*.example.com:8080/a"],
  ["https://bücher.example/", "https://xn--bcher-kva.example/"],
  ["http://127.0.0.1:18080", "http://127.0.0.1:18080/"],
  ["http://[::1]:8080/x", "http://[::1]:8080/x"],
  ["http://wiki/a%20b", "http://wiki/a%20b"],
];

test("external URL: good ones come out in one canonical form", () => {
  for (const [text, url] of GOOD) assert.deepEqual(checkExternalUrl(text), { url });
});

const BAD = [
  "",
  "wiki.example.com",
  "//wiki.example.com",
  "/docs",
  "ftp://wiki.example.com",
  "https:wiki.example.com",
  "https:/wiki.example.com",
  "https:///wiki.example.com",
  "https://",
  "https://wiki.example.com?x=1",
  "https://wiki.example.com/?",
  "https://wiki.example.com/#",
  "https://user@wiki.example.com",
  "https://user:pass@wiki.example.com",
  "https://@wiki.example.com",
  "https://wiki.example.com:0",
  "https://wiki.example.com:99999",
  "https://wiki.example.com\\docs",
  "https://wiki.example.com/a b",
  " https://wiki.example.com",
  "https://wiki.exam\tple.com",
  "https://wiki.example.com/a/../b",
  "https://wiki.example.com/.",
  "https://wiki.example.com/%2e%2e/b",
  `https://wiki.example.com/${"a".repeat(2_000)}`,
];

test("external and internal URL: whatever a parser would have to repair or drop is refused", () => {
  for (const text of BAD) {
    assert.ok("fault" in checkExternalUrl(text), `external ${text}`);
    assert.ok("fault" in checkInternalUrl(text), `internal ${text}`);
  }
});

test("external URL: wildcards only as the first label before a DNS name; no ambiguous escapes", () => {
  for (
    const text of [
      "https://*",
      "https://*.",
      "https://a.*.example.com",
      "https://*x.example.com",
      "https://*.10.0.0.1",
      "https://a.example/x%2fy",
      "https://a.example/x%5Cy",
      "https://a.example/x%2ey",
    ]
  ) assert.ok("fault" in checkExternalUrl(text), text);
});

test("internal URL: keeps its path as it is, and takes no wildcard", () => {
  assert.deepEqual(checkInternalUrl("http://10.0.0.5:8080/wiki/"), { url: "http://10.0.0.5:8080/wiki/" });
  assert.deepEqual(checkInternalUrl("http://10.0.0.5:8080/a%2Fb"), { url: "http://10.0.0.5:8080/a%2Fb" });
  assert.ok("fault" in checkInternalUrl("http://*.example.com"));
});
