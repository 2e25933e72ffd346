/** What connectors can do to a broker whose administrator has refused them, or has let them in by mistake. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { dialSocket } from "../../src/connector/tunnel_socket.ts";
import { registerConnector } from "../../src/demo/processes.ts";
import { type ControlMessage, encodeMessage } from "../../src/protocol/messages.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { type ForeignConnector, foreignConnector } from "../support/foreign_connector.ts";
import { type ConnectorFacts, TunnelStage } from "../support/tunnel_stage.ts";

/** More than any connector may say at once. */
const FLOOD = 100_000;
const CONTROL = { ":method": "POST", ":path": "/tunnel/v1/control" };
const LANE = { ":method": "POST", ":path": "/tunnel/v1/lane" };

type Line = Record<string, unknown>;

let stage: TunnelStage;
let appId: string;
const lines: Line[] = [];
let onLine = (): void => {};

before(async () => {
  stage = await TunnelStage.start({
    onBrokerLog(line) {
      if (!line.startsWith("{")) return;
      lines.push(JSON.parse(line));
      onLine();
    },
  });
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  appId = await stage.publish("/", origin);
});

after(() => stage[Symbol.asyncDispose]());

let count = 0;

/** Another connector of the same group, registered and not running. */
async function newcomer(): Promise<{ id: string; stateDir: string }> {
  const stateDir = join(stage.folder, `hostile-${++count}`);
  const token = await stage.broker.admin.enrolmentToken();
  const { connectorId } = await registerConnector({ stateDir, token, runtime: connectorRuntime() });
  return { id: String(connectorId), stateDir };
}

/** Resolves with the first line that is so. */
async function logged(holds: (line: Line) => boolean): Promise<Line> {
  for (let at = 0;;) {
    for (; at < lines.length; at++) if (holds(lines[at]!)) return lines[at]!;
    await new Promise<void>((resolve) => onLine = resolve);
  }
}

/** Lines about a connector that the broker has logged until now. */
async function linesAbout(connector: string, msg: string): Promise<Line[]> {
  const { id, stateDir } = await newcomer();
  using _witness = await foreignConnector(stateDir);
  await logged((line) => line.connector === id && line.message === "tunnel ready");
  return lines.filter((line) => line.connector === connector && line.message === msg);
}

/** A number of the broker's metrics; 0 where it is not there. */
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${stage.broker.adminUrl}/metrics`)).text();
  return Number(text.split("\n").find((line) => line.startsWith(`${name} `))?.slice(name.length) ?? 0);
}

const refusals = (code: string) => metric(`sallyport_tunnel_refusals_total{code="${code}"}`);

async function factsOf(id: string): Promise<ConnectorFacts & { appsOutOfReach: string[] }> {
  return await stage.broker.admin.request("GET", `connectors/${id}`) as ConnectorFacts & {
    appsOutOfReach: string[];
  };
}

/** A verified connection of a connector, with nothing on it. */
async function connection(t: TestContext, stateDir: string): Promise<ClientHttp2Session> {
  const { key, ...identity } = await loadIdentity(stateDir);
  const socket = await dialSocket({ ...identity, key: key.reveal() }, 30_000, t.signal);
  socket.on("error", () => {});
  const session = connectHttp2(`https://${identity.tunnelName}`, { createConnection: () => socket });
  session.on("error", () => {});
  t.after(() => session.destroy());
  await once(session, "remoteSettings");
  return session;
}

/** Resolves when the session has ended: a reset of the connection, which may come first, is no less an end. */
function endOf(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve) => session.once("close", resolve));
}

/** Status of a stream, or "closed". */
function statusOf(session: ClientHttp2Session, headers: Record<string, string>): Promise<number | "closed"> {
  const stream = session.request(headers, { endStream: true });
  stream.on("error", () => {});
  stream.resume();
  return new Promise((resolve) => {
    stream.once("response", (headers) => resolve(Number(headers[":status"])));
    stream.once("close", () => resolve("closed"));
  });
}

/** Writes messages at once, without waiting for anything. */
function flood({ dialled }: ForeignConnector, many: number, message: (i: number) => ControlMessage): void {
  dialled.control.write(Buffer.concat(Array.from({ length: many }, (_, i) => encodeMessage(message(i)))));
}

test("the first refusal ends a connector's connection, however many streams it has opened", async (t) => {
  const { id, stateDir } = await newcomer();
  await stage.broker.admin.request("PATCH", `connectors/${id}`, { enabled: false });
  const before = await refusals("connector_disabled");
  const polite = await connection(t, stateDir);
  const ended = endOf(polite);
  assert.equal(await statusOf(polite, CONTROL), 403);
  await ended;
  assert.equal(await refusals("connector_disabled"), before + 1);

  const session = await connection(t, stateDir);
  const closed = endOf(session);
  for (let i = 0; i < 500; i++) void statusOf(session, i % 2 === 0 ? CONTROL : LANE);
  await closed;
  // Of the polite one, of the first stream of this one, and of the one that came beside that.
  assert.ok((await linesAbout(id, "tunnel stream refused")).length <= 3);
  assert.ok(await refusals("connector_disabled") <= before + 2);
});

test("a connector that is refused again and again does not fill the log", async (t) => {
  const { id, stateDir } = await newcomer();
  await stage.broker.admin.request("PATCH", `connectors/${id}`, { enabled: false });
  const withheld = await metric("sallyport_log_lines_withheld_total");
  for (let i = 0; i < 45; i++) {
    const session = await connection(t, stateDir);
    const closed = endOf(session);
    assert.equal(await statusOf(session, CONTROL), 403);
    await closed;
  }
  const refused = (await linesAbout(id, "tunnel stream refused")).length;
  assert.ok(refused >= 30 && refused < 40, String(refused));
  assert.equal(await metric("sallyport_log_lines_withheld_total"), withheld + 45 - refused);
});

test("before hello a connection has one stream, and nothing is answered on it", async (t) => {
  const { id, stateDir } = await newcomer();
  for (const second of [CONTROL, LANE, { ":method": "GET", ":path": "/elsewhere" }]) {
    const session = await connection(t, stateDir);
    const closed = endOf(session);
    const control = session.request(CONTROL, { endStream: false });
    control.on("error", () => {});
    await once(control, "response");
    assert.equal(await statusOf(session, second), "closed");
    await closed;
  }
  await logged((line) => line.connector === id && line.code === "tunnel_unknown");
  for (const first of [LANE, { ":method": "GET", ":path": "/elsewhere" }]) {
    const session = await connection(t, stateDir);
    const closed = endOf(session);
    assert.equal(await statusOf(session, first), first === LANE ? 409 : 404);
    await closed;
  }
});

test("hello is said once: another one ends the tunnel", async () => {
  const { id, stateDir } = await newcomer();
  using foreign = await foreignConnector(stateDir);
  const before = await refusals("protocol_error");
  flood(foreign, 100, (i) => ({ id: i, type: "hello" }));
  await foreign.closed;
  const { code } = await logged((line) => line.connector === id && line.message === "tunnel closed");
  assert.equal(code, "protocol_error");
  assert.equal(await refusals("protocol_error"), before + 1);
});

test("a connector's word counts for backends of its group, and of no app that it makes up", async () => {
  const { id, stateDir } = await newcomer();
  using foreign = await foreignConnector(stateDir);
  await foreign.control.request("config.pull", { groupId: "", since: 0 }, 30_000);
  flood(foreign, 10_000, (i) => ({ type: "backend.health", appId: `made up ${i}`, up: false }));
  foreign.control.notice("backend.health", { appId, up: false });
  await foreign.control.request("version.poll", {}, 30_000);
  assert.deepEqual((await factsOf(id)).appsOutOfReach, [appId]);
  assert.equal((await linesAbout(id, "backend is out of reach")).length, 1);
});

test("a connector that says again and again that a backend comes and goes writes few log lines", async () => {
  const { id, stateDir } = await newcomer();
  using foreign = await foreignConnector(stateDir);
  await foreign.control.request("config.pull", { groupId: "", since: 0 }, 30_000);
  flood(foreign, 10_001, (i) => ({ type: "backend.health", appId, up: i % 2 === 1 }));
  await foreign.control.request("version.poll", {}, 30_000);
  assert.deepEqual((await factsOf(id)).appsOutOfReach, [appId]);
  const down = (await linesAbout(id, "backend is out of reach")).length;
  assert.ok(down >= 30 && down < 40, String(down));
  assert.ok(await metric("sallyport_log_lines_withheld_total") > 9_900);
});

const FLOODS: Record<string, (i: number) => ControlMessage> = {
  "health of apps that there are": (i) => ({ type: "backend.health", appId, up: i % 2 === 0 }),
  "health of apps that there are not": (i) => ({ type: "backend.health", appId: `${i}`, up: false }),
  handovers: (i) => ({ type: "handover", instanceId: `${i}` }),
  stats: () => ({ type: "stats", requests: 1 }),
  "notices of no kind": () => ({ type: "" }),
  "answers to nothing": (i) => ({ id: i, type: "reply", more: true }),
  "requests of no kind": (i) => ({ id: i, type: "toString" }),
  "questions for versions": (i) => ({ id: i, type: "version.poll" }),
  "pulls of all apps": (i) => ({ id: i, type: "config.pull", groupId: "", since: 0 }),
  "renewals of nothing": (i) => ({ id: i, type: "certificate.renew", csr: "x" }),
  "large messages": () => ({ type: "stats", x: "x".repeat(60_000) }),
};

for (const [what, message] of Object.entries(FLOODS)) {
  test(`a flood of ${what} ends the tunnel, and the connector's own alone`, async () => {
    const { id, stateDir } = await newcomer();
    const before = await refusals("tunnel_flood");
    using foreign = await foreignConnector(stateDir);
    const many = what === "large messages" ? 1_000 : FLOOD;
    flood(foreign, many, message);
    await foreign.closed;
    const { code } = await logged((line) => line.connector === id && line.message === "tunnel closed");
    assert.equal(code, "tunnel_flood");
    assert.equal(await refusals("tunnel_flood"), before + 1);
    assert.equal((await fetch(stage.url("/"))).status, 200);
    assert.equal((await stage.facts()).tunnels.length, 1);
  });
}

test("streams that are refused one after the other end the tunnel", async () => {
  const { id, stateDir } = await newcomer();
  using foreign = await foreignConnector(stateDir);
  const { session } = foreign.dialled;
  let refused = 0;
  while (!session.destroyed && !session.closed) {
    const statuses = await Promise.all(Array.from({ length: 100 }, () => statusOf(session, CONTROL)));
    refused += statuses.filter((status) => status === 409).length;
    assert.ok(refused < 10_000);
  }
  const { code } = await logged((line) => line.connector === id && line.message === "tunnel closed");
  assert.equal(code, "tunnel_flood");
  assert.ok((await linesAbout(id, "tunnel stream refused")).length < 40);
});
