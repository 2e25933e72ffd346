import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { watchStatus } from "../../../../src/connector/cli/watch_status.ts";

/** What is written until `looks` looks were taken. */
async function written(isTTY: boolean, json: boolean, looks: number): Promise<string> {
  const stdout = Object.assign(new PassThrough({ encoding: "utf8" }), { isTTY });
  const stop = new AbortController();
  let taken = 0;
  const read = () => {
    taken += 1;
    if (taken === looks) stop.abort();
    if (taken === 1) {
      return Promise.reject(Object.assign(new Error("nobody"), { code: "connector_not_running" }));
    }
    return Promise.resolve({ id: "c", look: taken });
  };
  await watchStatus({ read, json, stdout, signal: stop.signal, intervalMs: 1 });
  return (await stdout.end().toArray()).join("").replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "NOW");
}

test("status --watch: on a terminal each look begins at the top left of an empty screen", async () => {
  assert.equal(
    await written(true, false, 3),
    "\x1b[H\x1b[2JNOW\nerror.code     connector_not_running\nerror.message  nobody\n\n" +
      "\x1b[H\x1b[2JNOW\nid    c\nlook  2\n\n" +
      "\x1b[H\x1b[2JNOW\nid    c\nlook  3\n\n",
  );
});

test("status --watch: elsewhere, and as JSON, nothing is redrawn", async () => {
  assert.equal(
    await written(false, false, 2),
    "NOW\nerror.code     connector_not_running\nerror.message  nobody\n\nNOW\nid    c\nlook  2\n\n",
  );
  assert.equal(
    await written(true, true, 2),
    '{"time":"NOW","error":{"code":"connector_not_running","message":"nobody"}}\n{"time":"NOW","id":"c","look":2}\n',
  );
});
