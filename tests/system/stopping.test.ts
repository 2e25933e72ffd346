/** A program that is told to stop: what it says first, what it serves until then, and what a second signal does. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { ingressStage } from "../support/ingress_stage.ts";
import { headBackend } from "../support/staged_backend.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Wire } from "../support/wire.ts";

/** From the signal until the listeners close. */
const DELAY_MS = 300;

/** True while something listens there. */
async function listens(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

test("a broker that stops says so on /readyz first, and serves new connections on until its delay is over", async () => {
  await using stage = await TunnelStage.start({
    prepare: () => Promise.resolve(["--drain-delay-ms", "600000", "--drain-ms", "20000"]),
  });
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  await stage.publish("/", origin);
  const { plain } = stage.broker.listeners;
  const ready = () => fetch(new URL("/readyz", stage.broker.adminUrl));
  assert.equal((await ready()).status, 200);
  stage.broker.child.signal("SIGTERM");
  const answer = await until("it is not ready", async () => {
    const answer = await ready();
    return answer.status !== 200 && answer;
  });
  assert.equal(answer.status, 503);
  assert.deepEqual((await answer.json() as { reasons: string[] }).reasons, ["the broker is draining"]);
  // The balancer in front of it may not have looked yet: everything is as before.
  const wire = await Wire.plain(plain.port);
  for (let i = 0; i < 2; i++) {
    wire.send(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${plain.port}\r\n\r\n`);
    const { status, headers } = await wire.response();
    assert.equal(status, 200);
    assert.equal(headers.includes("close"), false, "nobody is sent away yet");
  }
  wire.close();
});

test("a broker whose delay is over listens no more, and ends", async () => {
  await using stage = await TunnelStage.start({
    prepare: () => Promise.resolve(["--drain-delay-ms", String(DELAY_MS), "--drain-ms", "20000"]),
  });
  const { plain, admin } = stage.broker.listeners;
  const stopped = stage.broker.stop();
  await until("it listens no more", async () => !await listens(plain.port));
  await stopped;
  assert.deepEqual(await stage.broker.child.exited, { code: 0, signal: null });
  assert.equal(await listens(admin.port), false);
});

for (const who of ["broker", "connector"] as const) {
  test(`a ${who} that is told to stop a second time ends at once, whatever is in flight`, async () => {
    await using stage = await TunnelStage.start({
      connectorArgs: ["--drain-ms", "300000"],
      prepare: () => Promise.resolve(["--drain-ms", "300000"]),
    });
    const { origin } = await stage.backend((_req, res) => void res.write("begun"));
    await stage.publish("/", origin);
    const response = await fetch(stage.url());
    assert.equal(response.status, 200);
    const { child } = stage[who];
    child.signal("SIGTERM");
    await stage.brokerLogged(who === "broker" ? "stopping: waiting" : "connector is about to stop");
    assert.equal(child.exit, null);
    child.signal("SIGTERM");
    const { code, signal } = await child.exited;
    assert.ok(code === 1 || signal === "SIGTERM", `${code} ${signal}`);
    await assert.rejects(response.text());
  });
}

test("a connection of another protocol than WebSocket ends when the grace of a stopping broker is over", async () => {
  await using backend = await headBackend();
  await using stage = await ingressStage({ broker: ["--drain-ms", "300"] });
  await stage.publish("upgrade", ["http://upgrade.example.test", "http://127.0.0.1"], backend.origin);
  backend.answer = (socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: Upgrade\r\n\r\n");
  const wire = await Wire.plain(stage.plainPort);
  wire.send("GET / HTTP/1.1\r\nHost: upgrade.example.test\r\nUpgrade: echo/1\r\nConnection: Upgrade\r\n\r\n");
  assert.equal((await wire.head()).status, 101);
  const stopped = stage.broker.stop();
  assert.equal(await wire.rest(), "", "no frame that it could not understand");
  await stopped;
  assert.deepEqual(await stage.broker.child.exited, { code: 0, signal: null });
});
