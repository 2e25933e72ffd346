import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";

const BULK_BYTES = 4 * 1024 * 1024;

test("with two tunnels of one connector, short exchanges stay away from the tunnel that carries bulk", async () => {
  await using stage = await TunnelStage.start({ connectorArgs: ["--tunnels", "2"] });
  const held: ServerResponse[] = [];
  const { origin } = await stage.backend((req, res) => {
    held.push(res);
    res.write(req.url === "/bulk" ? Buffer.alloc(BULK_BYTES) : "short");
  });
  await stage.publish("/", origin);
  await stage.until("two tunnels", ({ tunnels }) => tunnels.length === 2);
  const bulk = (await fetch(stage.url("/bulk"))).body!.getReader();
  for (let bytes = 0; bytes < BULK_BYTES;) bytes += (await bulk.read()).value!.length;
  const short = await Promise.all(Array.from({ length: 6 }, () => fetch(stage.url("/short"))));
  const { tunnels } = await stage.facts();
  assert.deepEqual(tunnels.map(({ lanesBusy }) => lanesBusy).sort(), [1, 6]);
  for (const res of held) res.end();
  assert.deepEqual(await Promise.all(short.map((response) => response.text())), Array(6).fill("short"));
  assert.equal((await bulk.read()).done, true);
  await stage.idle();
});
