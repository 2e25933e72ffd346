import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalAuthority, canonicalPath } from "../../../../src/broker/canonical.ts";
import { backendTarget } from "../../../../src/broker/ingress/route.ts";
import { buildRoutes, type RouteTable } from "../../../../src/broker/ingress/routes.ts";
import { appRecord } from "../../../support/app_record.ts";
import { assertHolds } from "../../../support/property.ts";

/** Id of the app that a request goes to. */
function find(table: RouteTable, authority: string, target: string): string | undefined {
  const host = canonicalAuthority(authority);
  const path = canonicalPath(target);
  if (host === undefined || path === undefined) return undefined;
  return table.match(host.host, host.port, path)?.app.id;
}

test("the most specific external URL wins: host before wildcard, longest prefix, whole segments", () => {
  const table = buildRoutes([
    appRecord({ id: "root", externalUrls: ["https://h.example.com"] }),
    appRecord({ id: "app", externalUrls: ["https://H.example.com/app/"] }),
    appRecord({ id: "deep", externalUrls: ["https://h.example.com/app/x/y"] }),
    appRecord({ id: "wild", externalUrls: ["https://*.example.com/"] }),
    appRecord({ id: "wildapp", externalUrls: ["https://*.example.com/only"] }),
    appRecord({ id: "two", externalUrls: ["https://two.example.com/a", "http://other.test/b"] }),
    appRecord({ id: "v6", externalUrls: ["http://[0:0::1]/"] }),
    appRecord({ id: "off", externalUrls: ["https://off.test"], enabled: false }),
  ]);
  assert.equal(table.size, 8);
  assert.deepEqual(table.problems, []);
  const cases: [string, string, string | undefined][] = [
    ["h.example.com", "/", "root"],
    ["H.EXAMPLE.COM.", "/apple", "root"],
    ["h.example.com", "/app", "app"],
    ["h.example.com", "/app?x", "app"],
    ["h.example.com", "/app/x", "app"],
    ["h.example.com", "/app/x/yy", "app"],
    ["h.example.com", "/app/x/y", "deep"],
    ["h.example.com", "/app/x/y/z", "deep"],
    ["h.example.com", "/APP", "root"],
    ["h.example.com", "/%61pp/x", "app"],
    ["h.example.com", "//app/x", "app"],
    ["h.example.com", "*", "root"],
    ["h.example.com:8443", "/app", "app"],
    ["other.example.com", "/x", "wild"],
    ["other.example.com", "/only/x", "wildapp"],
    ["a.b.example.com", "/", undefined],
    ["example.com", "/", undefined],
    ["two.example.com", "/a/1", "two"],
    ["two.example.com", "/b", "wild"],
    ["other.test", "/b", "two"],
    ["other.test", "/a", undefined],
    ["[::1]:80", "/", "v6"],
    ["off.test", "/", undefined],
    ["localhost", "/", undefined],
  ];
  for (const [host, target, id] of cases) assert.equal(find(table, host, target), id, `${host} ${target}`);
});

test("a port in the external URL must match, and comes before URLs without one", () => {
  const table = buildRoutes([
    appRecord({ id: "any", externalUrls: ["https://h.test"] }),
    appRecord({ id: "p8443", externalUrls: ["https://h.test:8443"] }),
    appRecord({ id: "only", externalUrls: ["https://only.test:8443"] }),
    appRecord({ id: "default", externalUrls: ["https://default.test:443"] }),
    appRecord({ id: "wild", externalUrls: ["https://*.w.test:9"] }),
  ]);
  const cases: [string, string | undefined][] = [
    ["h.test", "any"],
    ["h.test:443", "any"],
    ["h.test:9443", "any"],
    ["h.test:8443", "p8443"],
    ["only.test", undefined],
    ["only.test:443", undefined],
    ["only.test:8443", "only"],
    ["default.test", "default"],
    ["default.test:1234", "default"],
    ["a.w.test:9", "wild"],
    ["a.w.test", undefined],
  ];
  for (const [host, id] of cases) assert.equal(find(table, host, "/"), id, host);
});

test("an encoded slash never leads past the app that a plain one leads to", () => {
  const table = buildRoutes([
    appRecord({ id: "root", externalUrls: ["https://h.test"] }),
    appRecord({ id: "admin", externalUrls: ["https://h.test/admin"] }),
    appRecord({ id: "deep", externalUrls: ["https://h.test/a/b"] }),
  ]);
  const cases: [string, string | undefined][] = [
    ["/x%2Fy", "root"],
    ["/queues/%2F/x", "root"],
    ["/admin/x%2fy", "admin"],
    ["/admin%2fpanel", undefined],
    ["/admin%5Cpanel", undefined],
    ["/admin\\panel", undefined],
    ["/a%2fb", undefined],
    ["/%2fadmin", undefined],
    ["/x/../admin%2fpanel", undefined],
  ];
  for (const [target, id] of cases) assert.equal(find(table, "h.test", target), id, target);
});

test("backendTarget replaces the prefix and leaves the rest byte for byte", () => {
  const cases: [string, string, string, string | undefined][] = [
    // external path, internal path, target, target for the backend
    ["", "", "/", "/"],
    ["", "", "/a/../b//c%2e%2e?x=%zz", "/a/../b//c%2e%2e?x=%zz"],
    ["", "", "*", "*"],
    ["", "", "//a", "//a"],
    ["/", "/base", "/", "/base/"],
    ["/", "/base", "*", "*"],
    ["/", "/base", "/x?y", "/base/x?y"],
    ["/", "/base", "/x/../y", "/base/x/../y"],
    ["/app", "", "/app", "/"],
    ["/app", "", "/app?q", "/?q"],
    ["/app", "", "/app/", "/"],
    ["/app", "", "/app/x", "/x"],
    ["/app", "", "/app//x", "//x"],
    ["/app/", "/", "/app/x%2Fy", "/x%2Fy"],
    ["/app", "/wiki", "/app", "/wiki"],
    ["/app", "/wiki", "/app/", "/wiki/"],
    ["/app", "/wiki", "/app?q", "/wiki?q"],
    ["/app", "/wiki/", "/app", "/wiki/"],
    ["/app", "/wiki/", "/app/", "/wiki/"],
    ["/app", "/wiki/", "/app/x", "/wiki/x"],
    ["/app", "/wiki/", "/app?q", "/wiki/?q"],
    ["/app", "/app", "/app/x", "/app/x"],
    ["/app", "/wiki", "/%61pp/%61?q", "/wiki/%61?q"],
    ["/app", "/wiki", "//app//x", "/wiki//x"],
    ["/app", "/wiki", "/app/./x/../y", "/wiki/./x/../y"],
    ["/app", "/wiki", "/app/x/..", "/wiki/x/.."],
    ["/a/b", "/wiki", "/a//b/c", "/wiki/c"],
    ["/a", "/wiki", "/%61/c%2fd", "/wiki/c%2fd"],
    ["/app", "/wiki", "/x/../app/y", undefined],
    ["/app", "/wiki", "/./app/y", undefined],
    ["/app", "/wiki", "/app/../app/y", undefined],
    ["/app", "/wiki", "/app/x/../../app/y", undefined],
  ];
  for (const [external, internal, target, expected] of cases) {
    const name = `${external} to ${internal}: ${target}`;
    const table = buildRoutes([
      appRecord({
        id: "a",
        externalUrls: [`https://h.test${external}`],
        internalUrl: `http://b:1${internal}`,
      }),
    ]);
    const path = canonicalPath(target)!;
    const route = table.match("h.test", undefined, path);
    assert.ok(route !== undefined, name);
    assert.equal(route.internalOrigin, "http://b:1");
    assert.equal(backendTarget(route, target, path), expected, name);
  }
});

test("whatever the target, the backend resolves it to a place within the internal path", () => {
  const table = buildRoutes([
    appRecord({ id: "a", externalUrls: ["https://h.test/app"], internalUrl: "http://b/in/side" }),
    appRecord({ id: "b", externalUrls: ["https://h.test/"], internalUrl: "http://b/else/where" }),
  ]);
  const pieces = fc.constantFrom(
    "/",
    "/",
    "/",
    "..",
    ".",
    "app",
    "x",
    "%2e%2e",
    "%2f",
    "\\",
    "%5c",
    ";",
    "%61pp",
    "?",
  );
  const seen = new Set<string>();
  assertHolds(
    fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
      const target = `/${parts.join("")}`;
      const path = canonicalPath(target);
      const route = path === undefined ? undefined : table.match("h.test", undefined, path);
      const inner = route === undefined ? undefined : backendTarget(route, target, path!);
      if (inner === undefined) return;
      seen.add(route!.app.id);
      const base = route!.internalPath;
      // The two readings that servers have: with encoded separators and parameters as such, and without.
      const plain = inner.split("?", 1)[0]!.replace(/%2e/gi, ".");
      const decoded = plain.replace(/%2f|%5c|\\/gi, "/").replace(/;[^/]*/g, "");
      for (const reading of [plain.replaceAll("\\", "%5C"), decoded]) {
        // Merged slashes are one more way to read it.
        for (const way of [reading, reading.replace(/\/{2,}/g, "/")]) {
          const resolved = new URL(`http://b${way}`).pathname;
          assert.ok(
            resolved === base || resolved.startsWith(`${base}/`),
            `${target} to ${inner} is ${resolved}`,
          );
        }
      }
    }),
    { numRuns: 5_000 },
  );
  assert.equal(seen.size, 2);
});

test("URLs that cannot be served are left out and reported; the first app keeps a URL that two claim", () => {
  const table = buildRoutes([
    appRecord({ id: "b", externalUrls: ["https://h.test/x"] }),
    appRecord({
      id: "a",
      externalUrls: ["https://h.test/x/", "nonsense", "https://h.test/a%2fb", "ftp://h.test"],
    }),
    appRecord({ id: "c", externalUrls: ["https://c.test"], internalUrl: "nonsense" }),
  ]);
  assert.equal(table.size, 1);
  assert.equal(find(table, "h.test", "/x"), "a");
  assert.deepEqual(table.problems.map(({ appId, url }) => [appId, url]), [
    ["a", "nonsense"],
    ["a", "https://h.test/a%2fb"],
    ["a", "ftp://h.test"],
    ["b", "https://h.test/x"],
    ["c", "https://c.test"],
  ]);
});

test("an app that has both schemes of a host is served without a problem; a second app is named as one", () => {
  const urls = ["http://h.test", "https://h.test"];
  const both = buildRoutes([appRecord({ id: "a", externalUrls: urls })]);
  assert.deepEqual(both.problems, []);
  assert.equal(both.size, 1);
  assert.equal(find(both, "h.test", "/"), "a");
  const two = buildRoutes(urls.map((url, i) => appRecord({ id: `a${i}`, externalUrls: [url] })));
  assert.deepEqual(two.problems.map(({ appId, url }) => [appId, url]), [["a1", urls[1]]]);
  assert.equal(find(two, "h.test", "/"), "a0");
});

test("10,000 apps on one host and on many are found", () => {
  const apps = Array.from(
    { length: 10_000 },
    (_, i) =>
      appRecord({ id: `app${i}`, externalUrls: [`https://one.test/app${i}`, `https://h${i}.many.test`] }),
  );
  const table = buildRoutes(apps);
  assert.equal(table.size, 20_000);
  assert.equal(find(table, "one.test", "/app9999/x"), "app9999");
  assert.equal(find(table, "h5000.many.test", "/app1"), "app5000");
});

test("routes: how an app is spread is known by its id, as long as it has a route", () => {
  const apps = [
    appRecord({ id: "one", externalUrls: ["https://a.test/", "https://b.test/"], groupId: "g" }),
    appRecord({ id: "off", externalUrls: ["https://c.test/"], enabled: false }),
  ];
  const routes = buildRoutes(apps);
  assert.equal(routes.spreadOf("one")?.groupId, "g");
  assert.equal(routes.spreadOf("off"), undefined);
});

test("an app keeps what may be sent again of its requests when it changes; its URLs share that, no other app does", () => {
  const app = (id: string, revision: number) =>
    appRecord({ id, revision, externalUrls: [`https://${id}.test/a`, `https://${id}.test/b`] });
  const retries = (table: RouteTable, id: string, path: string) =>
    table.match(`${id}.test`, undefined, path)!.retries;
  const before = buildRoutes([app("one", 1), app("two", 1)]);
  const after = buildRoutes([app("one", 2), app("two", 1)], new WeakMap(), before);
  assert.equal(retries(after, "one", "/a"), retries(before, "one", "/a"));
  assert.equal(retries(after, "one", "/b"), retries(before, "one", "/a"));
  assert.notEqual(retries(after, "one", "/a"), retries(after, "two", "/a"));
});
