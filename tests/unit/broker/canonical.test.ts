import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { absoluteForm, canonicalAuthority, canonicalPath } from "../../../src/broker/canonical.ts";
import { assertHolds } from "../../support/property.ts";

test("canonicalAuthority gives one host for each way to write it, and the port", () => {
  const cases: [string, string, number | undefined][] = [
    ["example.com", "example.com", undefined],
    ["EXAMPLE.com.:8443", "example.com", 8443],
    ["xn--mnchen-3ya.de:80", "xn--mnchen-3ya.de", 80],
    ["host_1", "host_1", undefined],
    ["127.0.0.1:1", "127.0.0.1", 1],
    ["[::1]", "[::1]", undefined],
    ["[0:0:0:0:0:0:0:1]:65535", "[::1]", 65535],
    ["[2001:DB8::A]", "[2001:db8::a]", undefined],
  ];
  for (const [text, host, port] of cases) assert.deepEqual(canonicalAuthority(text), { host, port }, text);
});

test("canonicalAuthority refuses what only looks like a host", () => {
  const cases = [
    "",
    ".",
    "a..b",
    ".a",
    "a:",
    ":80",
    "a:0",
    "a:65536",
    "a:8O",
    "a:1:2",
    "a b",
    "user@a",
    "a/b",
    "a%2eb",
    "ä.de",
    "a,b",
    "[::1",
    "[::1]x",
    "[fe80::1%eth0]",
    "[1.2.3.4]",
    "[]",
    "::1",
    "a".repeat(64),
    Array(64).fill("abc").join("."),
  ];
  for (const text of cases) assert.equal(canonicalAuthority(text), undefined, text);
});

test("canonicalPath gives one path for each way to write it", () => {
  const cases: [string, string][] = [
    ["/", "/"],
    ["*", "*"],
    ["/?", "/"],
    ["/app", "/app"],
    ["/app/?q=/../x", "/app/"],
    ["/app;v=1/x,y:z@w", "/app;v=1/x,y:z@w"],
    ["/.well-known/acme", "/.well-known/acme"],
    ["/..well", "/..well"],
    ["/...", "/..."],
    ["/%61pp", "/app"],
    ["/%7Euser/%40x", "/~user/@x"],
    ['/a%22b/a"b', '/a"b/a"b'],
    ["/%c3%a9", "/%C3%A9"],
    ["/a%20b", "/a%20b"],
    ["/a%3fb%23", "/a%3Fb%23"],
    ["/%2541", "/%2541"],
    ["//a///b//", "/a/b/"],
    ["/app/../other", "/other"],
    ["/app/%2e%2e/other", "/other"],
    ["/app/.%2E/", "/"],
    ["/app/./x/.", "/app/x/"],
    ["/app/x/..", "/app/"],
    ["/a/../b//c%2e%2e", "/b/c.."],
    ["/api/group%2Fproject", "/api/group%2Fproject"],
    ["/queues/%2f/x", "/queues/%2F/x"],
    ["/a\\b", "/a%5Cb"],
    ["/a%5cb", "/a%5Cb"],
  ];
  for (const [target, path] of cases) assert.equal(canonicalPath(target), path, target);
});

test("canonicalPath refuses what is malformed or can be read in several ways", () => {
  const cases = [
    "",
    "app",
    "**",
    "http://a/b",
    "/a b",
    "/a#b",
    "/a?x#y",
    "/a\x7f",
    "/é",
    "/a?é",
    "/%",
    "/%4",
    "/%zz",
    "/a%00b",
    "/..",
    "/../app",
    "/%2e%2e/app",
    "/app/../..",
    "/app//../x",
    "/%5c/..",
    "/a%2fb/../x",
    "/;x/..",
    "/app/..%2fother",
    "/app/..%2Fother",
    "/app/..\\other",
    "/app/..%5cother",
    "/app/%2e%2e%2fother",
    "/app/x%2f..%2f..%2fother",
    "/app/x%2f.",
    "/app/..;/other",
    "/app/..;x=1/other",
    "/app/%2e%2e%3b/other",
    "/app/.;/x",
  ];
  for (const target of cases) assert.equal(canonicalPath(target), undefined, target);
});

/** Targets made of the pieces that matter. */
const targets = fc.array(
  fc.constantFrom(
    "/",
    "/",
    ".",
    "..",
    "a",
    "app",
    "%2e",
    "%2E",
    "%2f",
    "%5c",
    "\\",
    ";",
    "%3b",
    "%61",
    "%25",
    "%c3",
    "?",
    "x",
  ),
  { maxLength: 14 },
).map((parts) => `/${parts.join("")}`);

test("canonicalPath is idempotent and leaves nothing that could be a dot segment", () => {
  assertHolds(
    fc.property(targets, (target) => {
      const path = canonicalPath(target);
      if (path === undefined) return;
      if (!path.includes("?")) assert.equal(canonicalPath(path), path);
      assert.ok(path.startsWith("/") && !path.includes("//"));
      for (const segment of path.split(/\/|%2F|%5C|\\/)) assert.doesNotMatch(segment, /^\.\.?(;|$)/);
    }),
    { numRuns: 5_000 },
  );
});

/** How a server resolves a path that it has decoded, `separators` included: the depth may go below zero. */
function lowest(target: string, separators: RegExp): number {
  const path = target.split("?", 1)[0]!.replace(/%2e/gi, ".").replace(/%3b/gi, ";");
  let depth = 0;
  let least = 0;
  for (const segment of path.split(separators)) {
    const name = segment.split(";", 1)[0];
    if (name === "..") depth--;
    else if (name !== "" && name !== ".") depth++;
    least = Math.min(least, depth);
  }
  return least;
}

test("no reading of a target that canonicalPath accepts leads above the root", () => {
  assertHolds(
    fc.property(targets, (target) => {
      if (canonicalPath(target) === undefined) return;
      assert.equal(lowest(target, /\//), 0);
      assert.equal(lowest(target, /\/|%2f|%5c|\\/i), 0);
    }),
    { numRuns: 5_000 },
  );
});

test("absoluteForm splits the target of a request to a proxy", () => {
  assert.deepEqual(absoluteForm("http://a:80/b?c"), { authority: "a:80", target: "/b?c" });
  assert.deepEqual(absoluteForm("HTTPS://a"), { authority: "a", target: "/" });
  assert.deepEqual(absoluteForm("http://a?b"), { authority: "a", target: "/?b" });
  for (const target of ["/", "*", "a:443", "ftp://a/", "http://", "http:///b"]) {
    assert.equal(absoluteForm(target), undefined);
  }
});
