import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Command } from "commander";
import {
  addConfigurationOptions,
  type ConfigurationSources,
  defineConfiguration,
  describeConfiguration,
  type Environment,
  loadConfiguration,
} from "../../../src/platform/configuration.ts";
import {
  address,
  bool,
  cidrList,
  integer,
  oneOf,
  secretText,
  structured,
  text,
  textList,
} from "../../../src/platform/configuration_value.ts";
import { ConfigurationError } from "../../../src/platform/errors.ts";
import { Secret } from "../../../src/platform/secret.ts";
import { z } from "zod";

const SPEC = defineConfiguration({
  program: "example",
  otherVariables: ["SALLYPORT_FRIEND"],
  keys: {
    dataDir: {
      type: text(),
      default: (env: Environment) => env.HOME ?? "none",
      defaultText: "home",
      describe: "Folder",
    },
    publicListen: { type: address(), default: "[::]:443", describe: "Where" },
    drainMs: { type: integer(0, 100_000), default: 30_000, describe: "How long" },
    level: { type: oneOf("low", "high"), default: "low", describe: "How much" },
    sessionLog: { type: bool(), default: false, describe: "Whether" },
    allow: { type: textList(), default: [], describe: "What", example: "a:1" },
    networks: { type: cidrList(), default: [], describe: "Whence" },
    pairs: {
      type: structured("pairs", z.array(z.strictObject({ a: z.int() }))),
      default: [],
      describe: "Pairs",
    },
    password: { type: secretText(), default: new Secret("default"), describe: "Secret" },
  },
  check: ({ drainMs, level }) =>
    drainMs === 1 && level === "high" ? ["drainMs 1 does not go with level high"] : [],
});

function file(t: TestContext, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-configuration-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "x.yaml");
  writeFileSync(path, content);
  return path;
}

function load(sources: Partial<ConfigurationSources>) {
  return loadConfiguration(SPEC, { flags: {}, env: {}, ...sources });
}

function problemsOf(sources: Partial<ConfigurationSources>) {
  try {
    load(sources);
  } catch (error) {
    assert.ok(error instanceof ConfigurationError);
    assert.equal(error.code, error.problems[0]?.code);
    return error.problems.map(({ code, message }) => ({ code, message }));
  }
  throw new Error("the configuration was accepted");
}

const codesOf = (sources: Partial<ConfigurationSources>) => problemsOf(sources).map(({ code }) => code);

test("configuration: defaults where nothing is said, a function asks the machine", () => {
  const values = load({ env: { HOME: "/home/x" } });
  assert.equal(values.dataDir, "/home/x");
  assert.equal(values.drainMs, 30_000);
  assert.deepEqual(values.allow, []);
});

test("configuration: flag wins over variable, variable over file, file over default", (t) => {
  const path = file(t, "drainMs: 1\nlevel: high\nsessionLog: true\nallow: [f]\n");
  const values = load({
    file: path,
    env: { SALLYPORT_LEVEL: "low", SALLYPORT_DRAIN_MS: "2", SALLYPORT_ALLOW: "e, f,," },
    flags: { drainMs: "3" },
  });
  assert.equal(values.drainMs, 3);
  assert.equal(values.level, "low");
  assert.equal(values.sessionLog, true);
  assert.deepEqual(values.allow, ["e", "f"]);
});

test("configuration: the file named by a flag wins over one named by variable", (t) => {
  const byFlag = file(t, "drainMs: 1");
  const byVariable = file(t, "drainMs: 2");
  assert.equal(load({ flags: { config: byFlag }, env: { SALLYPORT_CONFIG: byVariable } }).drainMs, 1);
  assert.equal(load({ env: { SALLYPORT_CONFIG: byVariable } }).drainMs, 2);
  assert.equal(load({ env: { SALLYPORT_CONFIG: "" } }).drainMs, 30_000);
});

test("configuration: options of commander and back", () => {
  const command = addConfigurationOptions(new Command(), SPEC).exitOverride();
  const args = "--drain-ms 5 --session-log --allow a:1 --allow b:2,c:3 --networks fd00::/8 --pairs".split(
    " ",
  );
  command.parse([...args, '[{"a":1}]'], { from: "user" });
  const values = load({ flags: command.opts() });
  assert.equal(values.drainMs, 5);
  assert.equal(values.sessionLog, true);
  assert.deepEqual(values.allow, ["a:1", "b:2", "c:3"]);
  assert.deepEqual(values.networks, ["fd00::/8"]);
  assert.deepEqual(values.pairs, [{ a: 1 }]);

  const off = addConfigurationOptions(new Command(), SPEC).parse(["--no-session-log"], { from: "user" });
  assert.equal(load({ flags: off.opts(), env: { SALLYPORT_SESSION_LOG: "true" } }).sessionLog, false);
  const unsaid = addConfigurationOptions(new Command(), SPEC).parse([], { from: "user" });
  assert.equal(load({ flags: unsaid.opts(), env: { SALLYPORT_SESSION_LOG: "true" } }).sessionLog, true);
});

test("configuration: what is expected is said once", () => {
  const [number, list] = problemsOf({ flags: { drainMs: "-5", networks: "10.0.0.0/33" } }).map(
    ({ message }) => message,
  );
  assert.match(String(number), /^expected integer, 0 to \d+, got -5$/);
  assert.match(String(list), /: 0: expected a network such as/);
});

test("configuration: unknown keys and variables are refused and the nearest name suggested", (t) => {
  const problems = problemsOf({
    file: file(t, "drianMs: 1\nzzzzzzzzz: 1"),
    env: { SALLYPORT_DRAIN: "1", SALLYPORT_FRIEND: "x", SALLYPORT_TEST_ANYTHING: "x", OTHER: "x" },
  });
  assert.deepEqual(problems.map(({ code }) => code), [
    "configuration_key_unknown",
    "configuration_key_unknown",
    "configuration_variable_unknown",
  ]);
  assert.match(problems[0]?.message ?? "", /"drainMs"/);
  assert.doesNotMatch(problems[1]?.message ?? "", /did you mean/);
  assert.match(problems[2]?.message ?? "", /"SALLYPORT_DRAIN_MS"/);
});

test("configuration: every problem is collected, from all sources", (t) => {
  const codes = codesOf({
    file: file(t, "drainMs: soon\nnope: 1"),
    env: { SALLYPORT_LEVEL: "middle" },
    flags: { publicListen: "443", networks: "10.0.0.0/33", pairs: "{" },
  });
  assert.equal(codes.filter((code) => code === "configuration_value_invalid").length, 5);
  assert.equal(codes.filter((code) => code === "configuration_key_unknown").length, 1);
});

for (
  const [what, flags] of Object.entries({
    "a number out of bounds": { drainMs: "100001" },
    "a number with a unit": { drainMs: "5s" },
    "a number in hexadecimal": { drainMs: "0x10" },
    "a port out of bounds": { publicListen: "a:65536" },
    "an IPv6 address without brackets": { publicListen: "::1:443" },
    "an unknown field of a structure": { pairs: '[{"a":1,"b":2}]' },
  })
) {
  test(`configuration: ${what} is refused`, () =>
    assert.deepEqual(codesOf({ flags }), ["configuration_value_invalid"]));
}

test("configuration: a file that cannot be read, is not YAML, has a key twice or is no mapping", (t) => {
  assert.deepEqual(codesOf({ file: "/nonexistent/x.yaml" }), ["configuration_file_unreadable"]);
  assert.deepEqual(codesOf({ file: file(t, "a: [") }), ["configuration_file_invalid"]);
  assert.deepEqual(codesOf({ file: file(t, "drainMs: 1\ndrainMs: 2") }), ["configuration_file_invalid"]);
  assert.deepEqual(codesOf({ file: file(t, "- drainMs") }), ["configuration_file_invalid"]);
  assert.equal(load({ file: file(t, "# nothing\n") }).drainMs, 30_000);
});

test("configuration: of a file that is not YAML place and rule are shown, and nothing of its text", (t) => {
  const warned: string[] = [];
  t.mock.method(process, "emitWarning", (text: unknown) => void warned.push(String(text)));
  for (
    const [text, place] of [
      ["level: low\npassword: hunter2: x\n", "line 2, column 11"],
      ["password: *hunter2\n", ""],
      ["password: @hunter2\n", "line 1, column 11"],
      ["password: 'hunter2\n", "line 2, column 1"],
      ["password: hunter2\n hunter2: x\n", "line 1"],
      ["password: !hunter2 x\nlevel: [", "line 2"],
    ] as const
  ) {
    const [problem] = problemsOf({ file: file(t, text) });
    assert.equal(problem?.code, "configuration_file_invalid");
    assert.ok(problem.message.includes(place), problem.message);
    assert.equal(problem.message.includes("hunter2"), false, problem.message);
  }
  load({ file: file(t, "level: !hunter2 low\n") });
  assert.equal(warned.some((text) => text.includes("hunter2")), false);
});

test("configuration: a key that every object has is not mistaken for one that was set", (t) => {
  assert.deepEqual(codesOf({ file: file(t, "constructor: 1") }), ["configuration_key_unknown"]);
  assert.deepEqual(codesOf({ file: file(t, "__proto__: { drainMs: 5 }") }), ["configuration_key_unknown"]);
});

test("configuration: contradictions between keys are found", () => {
  assert.deepEqual(codesOf({ flags: { drainMs: "1", level: "high" } }), ["configuration_value_invalid"]);
});

test("configuration: a secret is masked in values and never part of an error", () => {
  const values = load({ env: { SALLYPORT_PASSWORD: "hunter2" } });
  assert.equal(JSON.stringify({ ...values }).includes("hunter2"), false);
  assert.equal(values.password.reveal(), "hunter2");
  const [problem] = problemsOf({ flags: { password: ["hunter2"] } });
  assert.equal(problem?.message.includes("hunter2"), false);
});

test("configuration: the description names flag and variable", () => {
  const description = describeConfiguration(SPEC).find(({ key }) => key === "drainMs");
  assert.equal(description?.flag, "--drain-ms");
  assert.equal(description?.variable, "SALLYPORT_DRAIN_MS");
  assert.equal(description?.default, "30000");
});
