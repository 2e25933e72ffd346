import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { registerConnector, startConnector } from "../../src/demo/processes.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import { readStatus } from "../../src/connector/status/client.ts";
import { askForTakeover } from "../../src/connector/status/takeover.ts";
import { FaultStage } from "../faults/fault_stage.ts";
import { until } from "../support/until.ts";

/** Resolves once the connector answers on its status socket again. */
async function answers(stateDir: string): Promise<Record<string, unknown>> {
  return await until(
    "the connector answers",
    () => readStatus(statusSocketPath(stateDir)).catch(() => undefined),
  );
}

test("a successor that goes away before it serves leaves all as it was", async () => {
  await using stage = await FaultStage.start({ connectors: 1 });
  const { process } = stage.connectors[0]!;
  const path = statusSocketPath(process.stateDir);
  for (let i = 0; i < 3; i++) {
    const predecessor = await askForTakeover(path, `instance-${i}`);
    await assert.rejects(readStatus(path), { code: "connector_not_running" });
    assert.equal((await fetch(stage.url)).status, 200, "it serves meanwhile");
    predecessor[Symbol.dispose]();
    const { id } = await answers(process.stateDir);
    assert.equal(id, stage.connectors[0]!.id);
  }
  await stage.takeOver(0);
  assert.equal((await fetch(stage.url)).status, 200);
});

test("whoever takes the state folder back goes on with the identity that it holds now", async () => {
  await using stage = await FaultStage.start({ connectors: 2 });
  const { id, process: { stateDir }, relay } = stage.connectors[1]!;
  const path = statusSocketPath(stateDir);
  const predecessor = await askForTakeover(path, "another");
  relay.target = 0;
  relay.cut();
  const token = await stage.broker.admin.enrolmentToken({ connectorId: id });
  // What it had is revoked with that, and its address is the relay's.
  await registerConnector({ stateDir, token, runtime: "node", args: ["--force"] });
  predecessor[Symbol.dispose]();
  await answers(stateDir);
  await until("its tunnel is back", async () => (await stage.tunnelsOf(1)).length > 0);
});

test("without being asked to take over, a second process with the same state is refused", async () => {
  await using stage = await FaultStage.start({ connectors: 1 });
  const { stateDir } = stage.connectors[0]!.process;
  await assert.rejects(startConnector({ stateDir, runtime: "node" }), (error: Error) => {
    assert.match(error.message, /state_in_use/);
    return true;
  });
  assert.equal((await fetch(stage.url)).status, 200);
});

test("where nobody runs there is nobody to take over from", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-takeover-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await assert.rejects(askForTakeover(join(folder, "status.sock"), "x"), { code: "connector_not_running" });
});
