import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectorTunnel } from "../../../src/connector/tunnel.ts";
import { context, goodTunnel } from "./good_tunnel.ts";

test("a change that the broker announces is asked for at once: nothing waits for a timer", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.after(() => t.mock.timers.reset()); // Deno does not do that by itself.
  const { dialled, channel, asked } = goodTunnel();
  const tunnel = new ConnectorTunnel(dialled, context());
  t.after(() => tunnel.close(null));
  const pulls = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    return asked.filter((type) => type === "config.pull").length;
  };
  await tunnel.start();
  assert.equal(await pulls(), 1, "that of the start");
  channel.notice("config.changed");
  assert.equal(await pulls(), 2);
  for (let i = 0; i < 100; i++) channel.notice("config.changed");
  assert.equal(await pulls(), 4, "one that runs, and one that sees all that has changed by then");
});
