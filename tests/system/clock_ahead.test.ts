/** A broker's wall clock that is years ahead for a moment, and right again. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startBroker } from "../../src/demo/processes.ts";
import { fakeClock } from "../support/faketime.ts";
import { LogLines } from "../support/log_lines.ts";

const DAY_S = 86_400;

test("broker's clock 800 days ahead and right again: its authority is untouched, at a start with such a clock as well", async (t) => {
  const clock = await fakeClock(t);
  if (clock === null) return;
  const folder = await mkdtemp(join(tmpdir(), "sallyport-ahead-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true }));
  const dataDir = join(folder, "data");
  const log = new LogLines();
  const start = async () => {
    const broker = await startBroker({
      dataDir,
      env: clock.env,
      args: ["--log-format", "json", "--ca-check-interval-ms", "100"],
      onLog: (line) => log.add(line),
    });
    stack.defer(() => broker.stop());
    return broker;
  };
  const issuing = () => readFile(join(dataDir, "ca", "issuing.pem"), "utf8");

  const first = await start();
  const before = await issuing();
  for (const offset of [800 * DAY_S, 0]) {
    const from = log.lines.length;
    await clock.set(offset);
    await log.logged("The clock has jumped", from);
    // At the same look, or a later one, as the authority's would have been.
    await log.logged("Renewed a certificate of the broker", from);
    assert.equal(await issuing(), before);
  }
  await first.stop();

  await clock.set(800 * DAY_S);
  const from = log.lines.length;
  const second = await start();
  await log.logged("The clock has jumped", from);
  assert.equal(await issuing(), before);
  await second.stop();
});
