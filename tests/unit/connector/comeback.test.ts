import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { Comeback } from "../../../src/connector/comeback.ts";
import { silentLog } from "../../../src/platform/log.ts";
import type { HostPort } from "../../../src/protocol/address.ts";
import { identityFolder, NOW } from "../../support/identity_folder.ts";

/** A broker that says nothing, or hangs up at once; how often it was dialled. */
async function deadBroker(t: TestContext, hangsUp: boolean) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    if (hangsUp) socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  return { server, address, dialled: () => sockets.length };
}

/** Of a connector whose certificate has expired, which is to be refused. */
async function comebackOf(t: TestContext, address: HostPort, warn = () => {}): Promise<Comeback> {
  const { state, identity } = await identityFolder(t, "p256", address);
  return new Comeback({
    stateDir: state,
    identity: () => identity,
    use: () => assert.fail("used"),
    targetOf: () => assert.fail("dialled"),
    machineName: "m",
    os: "linux",
    stepMs: 3_600_000,
    log: { ...silentLog, warn },
    now: () => NOW + 20 * 86_400_000,
  });
}

const { signal } = new AbortController();

test("Comeback: stopped while the broker says nothing, it gives up at once, and can be asked again", async (t) => {
  const { server, address, dialled } = await deadBroker(t, false);
  const comeback = await comebackOf(t, address);
  await comeback.stop(); // Nothing is under way.
  for (let i = 1; i <= 2; i++) {
    const connected = once(server, "connection");
    const ensured = comeback.ensure(signal);
    await connected;
    const refused = assert.rejects(ensured, { name: "AbortError" });
    await comeback.stop();
    await refused;
    assert.equal(dialled(), i);
  }
});

test("Comeback: who asks by the same address waits for the same; by another one it is tried there as well", async (t) => {
  const [one, other] = [await deadBroker(t, true), await deadBroker(t, true)];
  const comeback = await comebackOf(t, one.address);
  const asked = [one, other, one, other].map(({ address }) => comeback.ensure(signal, { ...address }));
  for (const result of await Promise.allSettled(asked)) {
    assert.equal(result.status, "rejected");
    assert.ok(["broker_lost", "tls_failed"].includes(result.reason.code), result.reason.code);
  }
  assert.deepEqual([one.dialled(), other.dialled()], [1, 1]);
});

test("Comeback: stopped, it does not go on with the address of who waits", async (t) => {
  const [silent, other] = [await deadBroker(t, false), await deadBroker(t, true)];
  let begun = 0;
  const comeback = await comebackOf(t, silent.address, () => begun += 1);
  const connected = once(silent.server, "connection");
  const asked = [silent, other].map(({ address }) => comeback.ensure(signal, address));
  const refused = asked.map((one) => assert.rejects(one, { name: "AbortError" }));
  await connected;
  await comeback.stop();
  await Promise.all(refused);
  assert.deepEqual([begun, other.dialled()], [1, 0]);
});

test("Comeback: who gives up does so alone; the others go on to wait for the same", async (t) => {
  const { server, address, dialled } = await deadBroker(t, false);
  const comeback = await comebackOf(t, address);
  const gaveUp = new AbortController();
  const connected = once(server, "connection");
  const first = assert.rejects(comeback.ensure(gaveUp.signal, address), { name: "AbortError" });
  let isOver = false;
  const second = comeback.ensure(signal, address).finally(() => isOver = true);
  const refused = assert.rejects(second);
  await connected;
  gaveUp.abort();
  await first;
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([isOver, dialled()], [false, 1]);
  await comeback.stop();
  await refused;
});
