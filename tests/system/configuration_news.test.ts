/** How a connector learns of changes when nobody asks for what has changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";

/** Pulls that the broker has answered. */
async function pulls(stage: TunnelStage): Promise<number> {
  const text = await (await fetch(new URL("/metrics", stage.broker.adminUrl))).text();
  return Number(/^sallyport_config_pulls_total (\d+)$/m.exec(text)![1]);
}

test("a change is announced: the connector has it long before its next pull, without a request", async () => {
  await using stage = await TunnelStage.start();
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  const id = await stage.publish("/", origin);
  const revision = ({ tunnels }: { tunnels: { configRevision: number }[] }) => tunnels[0]!.configRevision;
  const first = await stage.until("the new app", (facts) => revision(facts) > 0);
  await stage.broker.admin.request("PATCH", `apps/${id}`, { name: "Other" });
  await stage.until("its change", (facts) => revision(facts) > revision(first));
});

test("without news it asks again and again all the same", async () => {
  await using stage = await TunnelStage.start({ connectorArgs: ["--config-pull-interval-ms", "1000"] });
  const before = await pulls(stage);
  await until("it has asked three times more", async () => await pulls(stage) >= before + 3);
  assert.equal((await stage.facts()).connected, true);
});
