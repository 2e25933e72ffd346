import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";

const BULK_BYTES = 4 * 1024 * 1024;
/** Short exchanges at a time. */
const SHORT = 6;

test("with two tunnels of one connector, short exchanges stay away from the tunnel that carries bulk", async () => {
  await using stage = await TunnelStage.start({ connectorArgs: ["--tunnels", "2"] });
  const held: ServerResponse[] = [];
  const { origin } = await stage.backend((req, res) => {
    held.push(res);
    res.write(req.url === "/bulk" ? Buffer.alloc(BULK_BYTES) : "short");
  });
  await stage.publish("/", origin);
  // A tunnel without a lane to spare gives way to the other one, with bulk or without.
  await stage.until(
    "two tunnels with lanes for all",
    ({ tunnels }) => tunnels.length === 2 && tunnels.every(({ lanesIdle }) => lanesIdle > SHORT),
  );
  const bulk = (await fetch(stage.url("/bulk"))).body!.getReader();
  for (let bytes = 0; bytes < BULK_BYTES;) bytes += (await bulk.read()).value!.length;
  const short = await Promise.all(Array.from({ length: SHORT }, () => fetch(stage.url("/short"))));
  const { tunnels } = await stage.facts();
  assert.deepEqual(tunnels.map(({ lanesBusy }) => lanesBusy).sort(), [1, SHORT]);
  for (const res of held) res.end();
  assert.deepEqual(await Promise.all(short.map((response) => response.text())), Array(SHORT).fill("short"));
  assert.equal((await bulk.read()).done, true);
  await stage.idle();
});
