/** What a broker tells its connectors of how to come back when all of them lose it at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fields } from "../../src/tunnel/control_channel.ts";
import { foreignConnector } from "../support/foreign_connector.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";

/** With so many tunnels the window is twice the least. */
const TUNNELS = 50;

test("the more tunnels a broker has, the longer a window it names: when it has doubled, and when it stops", async () => {
  await using stage = await TunnelStage.start({ prepare: () => Promise.resolve(["--drain-ms", "20000"]) });
  using connectors = new DisposableStack();
  const notices = new Map<string, (fields: Fields) => void>();
  const next = (type: string) => new Promise<Fields>((resolve) => notices.set(type, resolve));
  const grown = next("reconnect.window");
  const stopping = next("drain");
  const first = connectors.use(
    await foreignConnector(stage.stateDir, (type, fields) => notices.get(type)?.(fields)),
  );
  assert.equal(first.welcome.reconnectWindowMs, 250);
  for (let i = 2; i < TUNNELS; i++) connectors.use(await foreignConnector(stage.stateDir));
  assert.deepEqual(await grown, { reconnectWindowMs: 10 * TUNNELS });
  const last = connectors.use(await foreignConnector(stage.stateDir));
  assert.equal(last.welcome.reconnectWindowMs, 10 * (TUNNELS + 1));
  const stopped = stage.broker.stop();
  assert.equal((await stopping).reconnectWindowMs, 10 * (TUNNELS + 1));
  await stopped;
});
