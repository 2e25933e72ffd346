import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { Comeback } from "../../../src/connector/comeback.ts";
import { silentLog } from "../../../src/platform/log.ts";
import { identityFolder, NOW } from "../../support/identity_folder.ts";

test("Comeback: stopped while the broker says nothing, it gives up at once, and can be asked again", async (t) => {
  const sockets: Socket[] = [];
  const broker = createServer((socket) => void sockets.push(socket.on("error", () => {})));
  broker.listen(0, "127.0.0.1");
  await once(broker, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    broker.close();
  });
  const address = { host: "127.0.0.1", port: (broker.address() as AddressInfo).port };
  const { state, identity } = await identityFolder(t, "p256", address);
  const comeback = new Comeback({
    stateDir: state,
    identity: () => identity,
    use: () => assert.fail("used"),
    targetOf: () => assert.fail("dialled"),
    machineName: "m",
    os: "linux",
    stepMs: 3_600_000,
    log: silentLog,
    now: () => NOW + 20 * 86_400_000,
  });
  await comeback.stop(); // Nothing is under way.
  for (let i = 1; i <= 2; i++) {
    const connected = once(broker, "connection");
    const ensured = comeback.ensure(new AbortController().signal);
    await connected;
    const refused = assert.rejects(ensured, { code: "registration_aborted" });
    await comeback.stop();
    await refused;
    assert.equal(sockets.length, i);
  }
});
