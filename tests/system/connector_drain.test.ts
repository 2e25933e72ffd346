/** A connector that is stopped: what it has begun comes to its end, and the others get what is new. */
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { readStatus } from "../../src/connector/status/client.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import { type ConnectorProcess, registerConnector, startConnector } from "../../src/demo/processes.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Users } from "../support/user_requests.ts";

let stage: TunnelStage;
let users: Users;
/** Responses whose head and first bytes are out. */
const begun: ServerResponse[] = [];
let onBegun = (): void => {};

before(async () => {
  stage = await TunnelStage.start();
  users = new Users();
  const { origin } = await stage.backend((req, res) => {
    if (!req.url!.startsWith("/slow")) return void res.end("quick");
    req.resume();
    res.write("begun ");
    begun.push(res);
    onBegun();
  });
  await stage.publish("/", origin);
});

after(async () => {
  users?.[Symbol.dispose]();
  await stage?.[Symbol.asyncDispose]();
});

/** The next slow response, from the moment that the backend has begun it. */
async function slow(path = "/slow"): Promise<{ answer: Promise<string>; res: ServerResponse }> {
  const reached = new Promise<void>((resolve) => onBegun = resolve);
  const answer = users.get(stage.url(path)).then(({ status, body }) => `${status} ${body}`);
  answer.catch(() => {});
  await reached;
  return { answer, res: begun.at(-1)! };
}

async function another(name: string, ...args: string[]): Promise<ConnectorProcess & { id: string }> {
  const stateDir = join(stage.folder, name);
  const token = await stage.broker.admin.enrolmentToken();
  const { connectorId } = await registerConnector({ stateDir, token, runtime: "node" });
  const connector = await startConnector({ stateDir, runtime: connectorRuntime(), args });
  const id = String(connectorId);
  // Its lanes come after its tunnel; without one it is not chosen.
  await until("it has lanes", async () => ((await lanesOf(id))?.idle ?? 0) > 0);
  return { ...connector, id };
}

/** Lanes of a connector's tunnels; undefined when it has none. */
async function lanesOf(id: string): Promise<{ idle: number; busy: number } | undefined> {
  const { tunnels } = await stage.broker.admin.request("GET", `connectors/${id}`) as {
    tunnels: { lanesIdle: number; lanesBusy: number }[];
  };
  const [tunnel] = tunnels;
  return tunnel && { idle: tunnel.lanesIdle, busy: tunnel.lanesBusy };
}

test("a connector with responses in flight finishes them at SIGTERM and exits 0; no request fails meanwhile", async () => {
  const first = { ...stage.connector, id: stage.connectorId };
  const second = await another("second");
  let goOn = true;
  try {
    // One each: requests go to whom has fewer.
    const running = [await slow(), await slow()];
    const stopping = (await lanesOf(first.id))!.busy === 1 ? first : second;
    assert.deepEqual([(await lanesOf(first.id))!.busy, (await lanesOf(second.id))!.busy], [1, 1]);

    let answered = 0;
    const failures: string[] = [];
    const load = Array.from({ length: 8 }, async () => {
      while (goOn) {
        const { status, body } = await users.get(stage.url("/"));
        if (status !== 200 || body !== "quick") failures.push(`${status} ${body}`);
        answered += 1;
      }
    });
    await until("requests run", () => answered > 100);
    stopping.child.signal("SIGTERM");
    await until("it has one lane left", async () => {
      const lanes = await lanesOf(stopping.id);
      return lanes !== undefined && lanes.idle === 0 && lanes.busy === 1;
    });
    const before = answered;
    await until("others serve", () => answered > before + 200);
    assert.equal(stopping.child.exit, null, "it waits for what it has begun");
    for (const { res } of running) res.end("and whole");
    for (const { answer } of running) assert.equal(await answer, "200 begun and whole");
    assert.deepEqual(await stopping.child.exited, { code: 0, signal: null });
    assert.equal(await lanesOf(stopping.id), undefined);
    goOn = false;
    await Promise.all(load);
    assert.deepEqual(failures, []);
    if (stopping === first) await stage.startConnector();
  } finally {
    goOn = false;
    await second.stop();
  }
});

test("an upload in flight at SIGTERM arrives whole", async () => {
  const second = await another("third");
  await stage.connector.stop();
  const arrived = new Promise<void>((resolve) => onBegun = resolve);
  let upload!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start: (controller) => void (upload = controller) });
  const request = fetch(stage.url("/slow-upload"), { method: "POST", body, duplex: "half" } as RequestInit);
  try {
    upload.enqueue(new Uint8Array(100_000));
    await arrived;
    second.child.signal("SIGTERM");
    await until("idle lanes are retired", async () => (await lanesOf(second.id))?.idle === 0);
    for (let i = 0; i < 50; i++) upload.enqueue(new Uint8Array(100_000));
    upload.close();
    const { req } = begun.at(-1)!;
    await new Promise<void>((resolve) => req.complete ? resolve() : req.once("end", resolve));
    begun.at(-1)!.end("and whole");
    assert.equal(await (await request).text(), "begun and whole");
    assert.deepEqual(await second.child.exited, { code: 0, signal: null });
  } finally {
    await second.stop();
    await stage.startConnector();
  }
});

test("an exchange that outlasts the grace is broken off, and the connector exits 0", async () => {
  await stage.connector.stop();
  const impatient = await another("impatient", "--drain-ms", "300");
  const { answer, res } = await slow();
  impatient.child.signal("SIGTERM");
  await assert.rejects(answer);
  assert.deepEqual(await impatient.child.exited, { code: 0, signal: null });
  res.destroy();
  await stage.startConnector();
});

test("an idle connector leaves at once, and says so in peace", async () => {
  const { child } = stage.connector;
  child.signal("SIGTERM");
  const begunAt = performance.now();
  assert.deepEqual(await child.exited, { code: 0, signal: null });
  assert.ok(performance.now() - begunAt < 10_000, "far less than the grace of 30 s");
  await until("its tunnel is gone", async () => await lanesOf(stage.connectorId) === undefined);
  await stage.startConnector();
  assert.equal((await users.get(stage.url("/"))).body, "quick");
});

test("a connector that has only answered probes stops at once: the probe's lane is retired, too", async () => {
  const probed = await another("probed", "--drain-ms", "300000");
  const socket = statusSocketPath(probed.stateDir);
  await until("it has answered a probe", async () => {
    const { tunnels } = await readStatus(socket) as { tunnels: { exchanges: number; probes: number }[] };
    assert.equal(tunnels[0]?.exchanges ?? 0, 0, "probes are not counted as exchanges");
    return (tunnels[0]?.probes ?? 0) > 0;
  });
  await probed.stop();
  assert.deepEqual(await probed.child.exited, { code: 0, signal: null }, "it was not killed");
});
