/** A tunnel whose connection is well, and on which no exchange is answered. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { registerConnector } from "../../src/demo/processes.ts";
import { PROBE_APP_ID, PROBE_CAPABILITY } from "../../src/protocol/probe.ts";
import type { Lane } from "../../src/tunnel/lane.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { LyingConnector } from "../support/lying_connector.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Users } from "../support/user_requests.ts";

const GETS = 20;
/** When users give up, and by when their tunnel has to be out of rotation, which takes less than 5 s. */
const IMPATIENT_MS = 200;
const STUCK_WITHIN_MS = 20_000;
/** The broker looks at the health of its tunnels several times in it. */
const SEVERAL_LOOKS_MS = 4_000;

/** Beside the stage's connector one that answers no exchange, not yet told what to do; and what the broker says of its tunnel. */
async function wedgedConnector(stage: TunnelStage) {
  const { origin } = await stage.backend((_req, res) => void res.end("elsewhere"));
  await stage.publish("/", origin, { balancing: "round_robin" });
  const stateDir = join(stage.folder, "wedged");
  const token = await stage.broker.admin.enrolmentToken();
  const { connectorId } = await registerConnector({ stateDir, token, runtime: connectorRuntime() });
  const connector = await LyingConnector.start(stateDir, GETS, [PROBE_CAPABILITY]);
  const state = async () => {
    const { tunnels } = await stage.broker.admin.request("GET", `connectors/${connectorId}`) as {
      tunnels: { state: string }[];
    };
    return tunnels[0]?.state;
  };
  return { connector, state };
}

test("pings are answered and exchanges are not: out of rotation, its GETs go elsewhere, and it comes back by itself", async () => {
  // However busy the machine is, the request that waits for it to be well again is served then.
  await using stage = await TunnelStage.start({
    prepare: () => Promise.resolve(["--wait-for-connector-ms", "60000"]),
  });
  using users = new Users();
  const { connector, state } = await wedgedConnector(stage);
  using wedged = connector;
  const held = new Map<Lane, string>();
  let begun = 0;
  wedged.answer = (lane, { appId, method }) => {
    held.set(lane, appId === PROBE_APP_ID ? "probe" : method);
    begun += 1;
  };
  const ready = async () => {
    const response = await fetch(new URL("/readyz", stage.broker.adminUrl));
    return [response.status, (await response.json() as { reasons: string[] }).reasons];
  };
  // Of two in turn one finds the wedged one, of POSTs as of GETs.
  const posts = [1, 2].map(() => users.get(stage.url("/post"), { method: "POST" }));
  for (const post of posts) post.catch(() => {});
  await until("a POST is held", () => [...held.values()].includes("POST"));
  const answers = await Promise.all(Array.from({ length: GETS }, () => users.get(stage.url())));
  assert.deepEqual(
    new Set(answers.map(({ status, body }) => `${status} ${body}`)),
    new Set(["200 elsewhere"]),
  );
  assert.ok([...held.values()].includes("GET"), "some had gone there");
  assert.equal(await state(), "stuck");
  assert.deepEqual(await ready(), [200, []]);
  // Its connection answers pings all the while, and nothing new goes there.
  await new Promise((resolve, reject) =>
    wedged.foreign.dialled.session.ping((error) => error ? reject(error) : resolve(undefined))
  );
  // That it has let go of what was given up is no answer.
  await new Promise((resolve) => setTimeout(resolve, SEVERAL_LOOKS_MS));
  assert.equal(await state(), "stuck");
  const before = begun;
  for (let i = 0; i < GETS; i++) assert.equal((await users.get(stage.url())).body, "elsewhere");
  assert.equal(begun, before);

  await stage.connector.stop();
  await stage.until("the other one is gone", ({ connected }) => !connected);
  assert.deepEqual(await ready(), [503, ["no exchange gets through any tunnel"]]);
  const waiting = users.get(stage.url());

  wedged.says({ status: 200 });
  const { answer } = wedged;
  for (const lane of held.keys()) if (!lane.isIdle) answer(lane, {} as never);
  assert.equal((await waiting).status, 200);
  assert.equal(await state(), "ready");
  assert.deepEqual(await ready(), [200, []]);
  assert.deepEqual(new Set((await Promise.all(posts)).map(({ status }) => status)), new Set([200]));
});

test("users who give up do not keep a tunnel in rotation on which nothing is answered", async () => {
  await using stage = await TunnelStage.start();
  const { connector, state } = await wedgedConnector(stage);
  using wedged = connector;
  let letGo = 0;
  wedged.aborted = () => letGo += 1;
  const end = performance.now() + STUCK_WITHIN_MS;
  while (await state() !== "stuck") {
    assert.ok(performance.now() < end, `in rotation after ${letGo} users have given up`);
    await fetch(stage.url(), { signal: AbortSignal.timeout(IMPATIENT_MS) }).catch(() => {});
  }
  assert.ok(letGo > 0, "some were there");
});
