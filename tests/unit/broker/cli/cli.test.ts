import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { durationSeconds } from "../../../../src/broker/cli/command.ts";
import type { CliContext } from "../../../../src/broker/cli/context.ts";
import { UsageError } from "../../../../src/broker/cli/errors.ts";
import { createProgram, runCli } from "../../../../src/broker/cli/program.ts";
import { table, when } from "../../../../src/broker/cli/table.ts";

function recorder(): CliContext & { out: string; err: string } {
  const recorded = {
    env: {},
    out: "",
    err: "",
    write: (text: string) => void (recorded.out += text),
    warn: (text: string) => void (recorded.err += text),
  };
  return recorded;
}

function* leaves(command: Command, path: string[] = []): Generator<string[]> {
  if (command.commands.length === 0) yield path;
  for (const inner of command.commands) yield* leaves(inner, [...path, inner.name()]);
}

test("CLI: every command explains itself with an example of its own and ends with 0", async () => {
  const all = [...leaves(createProgram(recorder()))];
  assert.ok(all.length >= 25, `${all.length} commands`);
  for (const path of all) {
    const context = recorder();
    assert.equal(await runCli([...path, "--help"], context), 0, path.join(" "));
    assert.ok(context.out.includes(`\nExample:\n  sallyport-broker ${path.join(" ")}`), context.out);
    assert.match(context.out, /--json/);
    assert.equal(context.err, "");
  }
});

test("CLI: run and config check take a flag for each configuration key", async () => {
  for (const path of [["run"], ["config", "check"]]) {
    const context = recorder();
    await runCli([...path, "--help"], context);
    for (const flag of ["--public-listen", "--drain-ms", "--session-log", "--config"]) {
      assert.ok(context.out.includes(flag), flag);
    }
  }
});

test("table: aligns columns, shows nothing as a dash, and lets no control character through", () => {
  const rows = [["a", "long name", true], ["bcd", null, "x\u001b[31m\ny"]];
  assert.equal(
    table(["ID", "NAME", "ON"], rows, "none"),
    "ID   NAME       ON\na    long name  yes\nbcd  -          x?[31m?y",
  );
  assert.equal(table(["ID"], [], "none"), "none");
  assert.equal(when("2030-01-31T12:00:00.123Z"), "2030-01-31 12:00:00Z");
});

test("duration: a number with its unit, nothing else", () => {
  assert.deepEqual(["90s", "30m", "24h", "7d"].map(durationSeconds), [90, 1_800, 86_400, 604_800]);
  for (const text of ["", "5", "h", "1.5h", "-1h", "1w", "1 h"]) {
    assert.throws(() => durationSeconds(text), (error) => error instanceof UsageError);
  }
});
