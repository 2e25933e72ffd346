import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Every code of every exported `..._CODES` array, with the arrays that have it. */
async function codesInSource(): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const path of globSync("src/**/*.ts", { cwd: ROOT }).sort()) {
    if (!/^export const \w+_CODES = \[/m.test(readFileSync(`${ROOT}${path}`, "utf8"))) continue;
    const module = await import(`${ROOT}${path}`) as Record<string, unknown>;
    for (const [name, codes] of Object.entries(module)) {
      if (!name.endsWith("_CODES")) continue;
      assert.ok(Array.isArray(codes), `${path}: ${name} is no array`);
      for (const code of codes as string[]) found.set(code, [...found.get(code) ?? [], `${path} ${name}`]);
    }
  }
  return found;
}

const document = readFileSync(`${ROOT}docs/errors.md`, "utf8");
const rows = [...document.matchAll(/^\| `([^`]+)` \| (.+) \| (.+) \|$/gm)].map((row) => row.slice(1));

test("docs/errors.md: has exactly the codes of the code, once each, in order", async () => {
  const source = await codesInSource();
  assert.ok(source.size > 50);
  const documented = rows.map(([code]) => code ?? "");
  const missing = [...source].filter(([code]) => !documented.includes(code)).map(([code, from]) =>
    `${code} (${from})`
  );
  assert.deepEqual(missing, [], "not in docs/errors.md");
  assert.deepEqual(documented.filter((code) => !source.has(code)), [], "in docs/errors.md only");
  assert.deepEqual(documented, [...new Set(documented)].sort());
});

test("docs/errors.md: every code has a meaning and something to do", () => {
  assert.deepEqual(
    rows.filter(([, meaning, action]) => !/\w{3}/.test(meaning ?? "") || !/\w{3}/.test(action ?? "")),
    [],
  );
});

test("error codes: lower-case words joined by underscores, no array has one twice", async () => {
  for (const [code, arrays] of await codesInSource()) {
    assert.match(code, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
    assert.equal(new Set(arrays).size, arrays.length, `${code} stands twice in ${arrays[0]}`);
  }
});
