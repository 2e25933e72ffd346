/** A link so narrow that an exchange takes longer than a probe may, full of a download: slow is not stuck. */
import assert from "node:assert/strict";
import { get } from "node:http";
import { test } from "node:test";
import { FaultStage } from "../faults/fault_stage.ts";

/** Bytes a second towards the broker; what is in flight takes several seconds. */
const BYTES_PER_SECOND = 16_000;
/** So much of the download has come when it is long enough. */
const BYTES = 120_000;

test("the last tunnel of a group stays in rotation while bytes arrive on it, however late a probe's answer is", async () => {
  await using stage = await FaultStage.start({ connectors: 1 });
  const { relay } = stage.connectors[0]!;
  relay.up.bytesPerSecond = BYTES_PER_SECOND;
  let bytes = 0;
  const { promise: enough, resolve } = Promise.withResolvers<void>();
  const download = get(new URL("/bulk", stage.url), (response) => {
    response.on("error", () => {});
    response.on("data", (piece: Buffer) => (bytes += piece.length) > BYTES && resolve());
  });
  download.on("error", () => {});
  await enough;
  assert.deepEqual((await stage.tunnelsOf(0)).map(({ state }) => state), ["ready"]);
  assert.equal(stage.sightings.detectMs, null, "nothing has been said against it");
  relay.heal();
  download.destroy();
  assert.equal((await fetch(stage.url)).status, 200);
});
