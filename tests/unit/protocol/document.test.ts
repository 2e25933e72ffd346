import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FRAME } from "../../../src/protocol/frame.ts";
import * as limits from "../../../src/protocol/limits.ts";

const document = readFileSync(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
const rows = document.split("\n").filter((line) => line.startsWith("| ")).map((line) =>
  line.split("|").slice(1, -1).map((cell) => cell.trim())
);

test("docs/protocol.md: lists every frame kind with its number", () => {
  const listed = rows.filter(([number]) => /^\d+$/.test(number!)).map((
    [number, name],
  ) => [name, Number(number)]);
  assert.deepEqual(Object.fromEntries(listed), { ...FRAME });
});

test("docs/protocol.md: lists every limit with its value", () => {
  const units: Record<string, number> = { KiB: 1024, MiB: 1024 * 1024, s: 1000 };
  const listed = new Map<string, number>();
  for (const [, values, names] of rows) {
    const all = [...(names ?? "").matchAll(/`([A-Z_]+)`/g)];
    const numbers = [...(values ?? "").matchAll(/(\d(?:[\d.,]*\d)?)(?: (\w+))?/g)];
    for (const [i, [, name]] of all.entries()) {
      const [, number, unit = ""] = numbers[i] ?? [];
      listed.set(name!, Number(number?.replaceAll(",", "")) * (units[unit] ?? 1));
    }
  }
  const expected = { ...limits, MAX_HEADER_STRINGS: limits.MAX_HEADER_STRINGS / 2 };
  assert.deepEqual(
    Object.fromEntries([...listed].sort()),
    Object.fromEntries(Object.entries(expected).sort()),
  );
});
