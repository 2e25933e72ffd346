import assert from "node:assert/strict";
import { test } from "node:test";
import { BROKER_CONFIGURATION } from "../../../src/broker/config.ts";
import { loadConfiguration } from "../../../src/platform/configuration.ts";

const load = (flags: Record<string, string>) => loadConfiguration(BROKER_CONFIGURATION, { flags, env: {} });

test("broker's names: in lower case however they are given, and never equal", () => {
  const { tunnelName, enrolName } = load({ tunnelName: "Tunnel.Corp.Example", enrolName: "ENROL" });
  assert.deepEqual([tunnelName, enrolName], ["tunnel.corp.example", "enrol"]);
  assert.throws(() => load({ tunnelName: "A.example", enrolName: "a.Example" }), {
    code: "configuration_value_invalid",
  });
});

test("broker's names: what is no DNS name is refused", () => {
  const long = `${"a".repeat(63)}.`.repeat(4);
  for (
    const name of [
      "",
      "not a name",
      "a..b",
      ".a",
      "a.",
      "-a.b",
      "a-.b",

      "10.0.0.1",
      "::1",
      "ü.example",
      "a:443",
    ]
      .concat(`${"a".repeat(64)}.b`, `${long}b`)
  ) {
    for (const key of ["tunnelName", "enrolName"]) {
      assert.throws(() => load({ [key]: name }), { code: "configuration_value_invalid" }, `${key} "${name}"`);
    }
  }
  for (
    const name of ["a", "a-b.c9", "a_b.c", "9a.3com", `${"a".repeat(63)}.example`, "xn--bcher-kva.example"]
  ) {
    assert.equal(load({ tunnelName: name }).tunnelName, name);
  }
});
