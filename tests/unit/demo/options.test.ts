import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDemoOptions, UsageError } from "../../../src/demo/options.ts";

test("demo options: the sample, one connector, for people, where nothing is said", () => {
  assert.deepEqual(parseDemoOptions([]), {
    json: false,
    connectors: 1,
    url: null,
    hostHeader: "user",
    insecure: false,
  });
  assert.equal(parseDemoOptions(["--json", "--help"]), null);
});

test("demo options: an application at an address gets the user's Host, one with a name its own", () => {
  const hostHeader = (...args: string[]) => parseDemoOptions(args)?.hostHeader;
  for (
    const url of ["http://127.0.0.1:4873", "https://[::1]:8443/x", "http://localhost:3000", "http://10.1.2.3"]
  ) {
    assert.equal(hostHeader(url), "user", url);
  }
  for (
    const url of ["http://wiki.corp.example", "https://wiki", "http://10.example", "http://localhost.example"]
  ) {
    assert.equal(hostHeader(url), "backend", url);
  }
  assert.equal(hostHeader("--host-header", "backend", "http://127.0.0.1:4873"), "backend");
  assert.equal(hostHeader("http://wiki", "--host-header=user"), "user");
});

test("demo options: what is not understood is refused", () => {
  const wrong = [
    ["--connectors", "0"],
    ["--connectors", "17"],
    ["--connectors", "1.5"],
    ["--host-header", "mine"],
    ["ftp://127.0.0.1"],
    ["127.0.0.1:3000"],
    ["http://a", "http://b"],
    ["--unknown"],
  ];
  for (const args of wrong) assert.throws(() => parseDemoOptions(args), UsageError, args.join(" "));
});
