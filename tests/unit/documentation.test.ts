import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withConfigurationTables } from "../../docs/generate.ts";
import { BROKER_CONFIGURATION } from "../../src/broker/config.ts";
import { CONNECTOR_CONFIGURATION } from "../../src/connector/config.ts";
import { describeConfiguration, loadConfiguration } from "../../src/platform/configuration.ts";
import { VERSION } from "../../src/platform/version.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

test("version: VERSION is that of package.json and heads the change log", () => {
  assert.equal(VERSION, JSON.parse(read("package.json")).version);
  assert.equal(/^## (\S+)/m.exec(read("CHANGELOG.md"))?.[1], VERSION);
});

test("docs/configuration.md: tables equal the specifications (else run: node docs/generate.ts)", () => {
  const document = read("docs/configuration.md");
  assert.equal(withConfigurationTables(document), document);
});

test("configuration: the defaults of both programs pass their own checks", () => {
  for (const spec of [BROKER_CONFIGURATION, CONNECTOR_CONFIGURATION]) {
    const values = loadConfiguration<typeof spec.keys>({ ...spec, check: undefined }, { flags: {}, env: {} });
    for (const [key, { type }] of Object.entries(spec.keys)) {
      const value = (values as Record<string, unknown>)[key];
      assert.ok(type.schema.safeParse(value).success, `${spec.program}: ${key}`);
    }
  }
  assert.deepEqual(
    BROKER_CONFIGURATION.check?.(loadConfiguration(BROKER_CONFIGURATION, { flags: {}, env: {} })),
    [],
  );
});

test("configuration: the broker tolerates every variable of the connector, so that both may run from one shell", () => {
  const known = new Set([
    ...describeConfiguration(BROKER_CONFIGURATION).map(({ variable }) => variable),
    ...BROKER_CONFIGURATION.otherVariables,
  ]);
  const missing = describeConfiguration(CONNECTOR_CONFIGURATION).map(({ variable }) => variable)
    .concat(CONNECTOR_CONFIGURATION.otherVariables).filter((variable) => !known.has(variable));
  assert.deepEqual(missing, []);
});

test("configuration: every setting is read by the program that has it", () => {
  const programs = [["broker", BROKER_CONFIGURATION], ["connector", CONNECTOR_CONFIGURATION]] as const;
  for (const [program, spec] of programs) {
    const sources = globSync(`src/${program}/**/*.ts`, { cwd: ROOT }).filter((path) =>
      path !== `src/${program}/config.ts`
    ).map(read).join("\n");
    const unread = Object.keys(spec.keys).filter((key) => !new RegExp(`\\b${key}\\b`).test(sources));
    assert.deepEqual(unread, [], program);
  }
});
