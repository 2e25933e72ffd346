/** Connectors that are away: shown so, removed in the end, and only by time in which a broker ran and watched. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { test } from "node:test";
import { registerConnector } from "../../src/demo/processes.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";

/** Longer than a connector takes to start on a busy machine. */
const REMOVED_MS = 9_000;
const SHOWN_MS = 1_000;
/** The broker has looked at least once by then. */
const LOOKED_MS = 1_500;

test("who is away is shown so, and removed with an audit entry; who is connected, or away while no broker ran, is not", async () => {
  await using stage = await TunnelStage.start({
    prepare: () =>
      Promise.resolve([
        ...["--inactive-after-ms", String(SHOWN_MS)],
        ...["--remove-inactive-after-ms", String(REMOVED_MS)],
      ]),
  });
  const token = await stage.broker.admin.enrolmentToken();
  const { connectorId: absent } = await registerConnector({
    stateDir: join(stage.folder, "absent"),
    token,
    runtime: connectorRuntime(),
  });
  const known = async () => (await stage.broker.admin.connectors()).map(({ id }) => String(id)).sort();
  const both = [stage.connectorId, String(absent)].sort();
  await stage.connector.stop();
  await stage.broker.stop();
  // No broker runs for longer than all the time that a connector has.
  await delay(REMOVED_MS + 1_000);
  await stage.startBroker();
  await delay(LOOKED_MS);
  assert.deepEqual(await known(), both);
  await stage.until("shown as inactive", ({ status }) => status === "inactive");
  await stage.startConnector();
  await stage.until("active again", ({ status, connected }) => status === "active" && connected);

  await until("the absent one is removed", async () => !(await known()).includes(String(absent)));
  // The other one has a tunnel for longer than that, and stays.
  await delay(REMOVED_MS);
  assert.deepEqual(await known(), [stage.connectorId]);
  const { items } = await stage.broker.admin.request("GET", "audit") as {
    items: { action: string; target: string; actor: { kind: string } }[];
  };
  const entry = items.find(({ action }) => action === "connector.delete");
  assert.equal(JSON.stringify(entry).includes(String(absent)), true);
  assert.equal(JSON.stringify(entry).includes("inactive-connectors"), true);
});
