import assert from "node:assert/strict";
import { test } from "node:test";
import { Instances, type InstanceTunnel } from "../../../../src/broker/tunnel/instances.ts";
import type { Log } from "../../../../src/platform/log.ts";
import { silentLog } from "../../../../src/platform/log.ts";

function tunnel(connectorId = "c", alive = true) {
  const closed: string[] = [];
  const fake: InstanceTunnel & { closed: string[]; isOpen: boolean } = {
    connectorId,
    peer: { externalIp: "192.0.2.1" },
    isOpen: true,
    closed,
    answers: () => Promise.resolve(alive),
    close: (reason) => closed.push((reason as Error & { code: string }).code),
  };
  return fake;
}

function warnings(): { log: Log; codes: unknown[] } {
  const codes: unknown[] = [];
  return {
    codes,
    log: {
      ...silentLog,
      warn: (_message: string, fields?: { code?: unknown }) => codes.push(fields?.code),
    } as never,
  };
}

test("instances: one instance may have several tunnels, other connectors are others", async () => {
  const { log, codes } = warnings();
  const instances = new Instances(log);
  await instances.enter(tunnel(), "i1", "refuse");
  await instances.enter(tunnel(), "i1", "refuse");
  await instances.enter(tunnel("d"), "i2", "refuse");
  assert.deepEqual(codes, []);
});

test("instances: a second instance is told of where sharing is allowed, and refused where it is not", async () => {
  const { log, codes } = warnings();
  const instances = new Instances(log);
  await instances.enter(tunnel(), "i1", "allow");
  await assert.rejects(instances.enter(tunnel(), "i2", "refuse"), { code: "identity_shared" });
  await instances.enter(tunnel(), "i2", "allow");
  assert.deepEqual(codes, ["identity_shared", "identity_shared"]);
});

test("instances: one that does not answer any more is taken over from", async () => {
  const instances = new Instances(silentLog);
  const dead = tunnel("c", false);
  await instances.enter(dead, "i1", "refuse");
  await instances.enter(tunnel(), "i2", "refuse");
  assert.deepEqual(dead.closed, ["tunnel_replaced"]);
  await assert.rejects(instances.enter(tunnel(), "i3", "refuse"), { code: "identity_shared" });
});

test("instances: one that has left, or had gone before it was let in, is in nobody's way", async () => {
  const instances = new Instances(silentLog);
  const first = tunnel();
  await instances.enter(first, "i1", "refuse");
  instances.left(first);
  const gone = tunnel();
  gone.isOpen = false;
  await instances.enter(gone, "i2", "refuse");
  await instances.enter(tunnel(), "i3", "refuse");
});

test("instances: of two that come at once one is let in", async () => {
  const instances = new Instances(silentLog);
  await instances.enter(tunnel("c", false), "dead", "refuse");
  const results = await Promise.allSettled(["i1", "i2"].map((id) => instances.enter(tunnel(), id, "refuse")));
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
});

test("instances: when sharing is refused from now on, the oldest that answers stays, also after it has dialled anew", async () => {
  const { log, codes } = warnings();
  const instances = new Instances(log);
  const [owner, copy, renewed, other] = [tunnel(), tunnel(), tunnel(), tunnel("d")];
  assert.equal(await instances.enter(owner, "owner", "allow"), true);
  assert.equal(await instances.enter(copy, "copy", "allow"), true);
  assert.equal(await instances.enter(renewed, "owner", "allow"), false, "no new instance");
  await instances.enter(other, "other", "allow");
  assert.equal(instances.left(owner), false);
  codes.length = 0;
  assert.deepEqual(await instances.unshare(), [copy]);
  assert.deepEqual(codes, ["identity_shared"]);
  assert.equal(instances.left(copy), true, "the last of its instance");
  assert.equal(instances.left(copy), false);
  assert.deepEqual(await instances.unshare(), []);
});

test("instances: an older one that does not answer gives way when sharing is refused from now on", async () => {
  const instances = new Instances(silentLog);
  const [dead, first, second] = [tunnel("c", false), tunnel(), tunnel()];
  await instances.enter(dead, "dead", "allow");
  await instances.enter(first, "first", "allow");
  await instances.enter(second, "second", "allow");
  assert.deepEqual(await instances.unshare(), [second]);
  assert.deepEqual(dead.closed, ["tunnel_replaced"]);
});

test("instances: one that takes over by the word of the one before is no second one, and has its place", async () => {
  const instances = new Instances(silentLog);
  const [old, copy, successor] = [tunnel(), tunnel(), tunnel()];
  await instances.enter(old, "old", "allow");
  await instances.enter(copy, "copy", "allow");
  instances.announced(old, "successor");
  assert.equal(await instances.enter(successor, "successor", "allow"), true);
  assert.deepEqual(await instances.unshare(), [copy], "both stay while one hands over to the other");
  instances.left(old);
  assert.deepEqual(await instances.unshare(), [copy]);
});
