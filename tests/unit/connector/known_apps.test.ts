import assert from "node:assert/strict";
import { test } from "node:test";
import { KnownApps } from "../../../src/connector/known_apps.ts";
import { type ConnectorApp, DEFAULT_BACKEND_TLS, DEFAULT_TIMEOUTS } from "../../../src/protocol/app.ts";
import type { ControlChannel, Fields } from "../../../src/tunnel/control_channel.ts";

function app(id: string, revision: number): ConnectorApp {
  return {
    id,
    revision,
    origin: `http://${id}.test`,
    timeouts: DEFAULT_TIMEOUTS,
    tls: DEFAULT_BACKEND_TLS,
    backendProtocol: "auto",
    healthCheck: null,
  };
}

interface Asked {
  fields: Fields;
  part: (fields: Fields) => void;
  answer: (fields: Fields) => void;
  fail: (error: Error) => void;
}

/** A control channel whose questions the test answers. */
function control(): { control: ControlChannel; asked: Asked[] } {
  const asked: Asked[] = [];
  const request = (_type: string, fields: Fields, _timeoutMs: number, part: (fields: Fields) => void) =>
    new Promise<Fields>((answer, fail) => asked.push({ fields, part, answer, fail }));
  return { control: { request } as unknown as ControlChannel, asked };
}

function changes(revision: number, full: boolean, apps: ConnectorApp[], removedIds: string[] = []): Fields {
  return { groupId: "g", revision, full, apps, removedIds };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function known(...apps: ConnectorApp[]) {
  const { control: channel, asked } = control();
  const all = new KnownApps();
  const pulled = all.pull(channel);
  asked[0]!.answer(changes(5, true, apps));
  await pulled;
  asked.length = 0;
  return { all, channel, asked };
}

test("the first pull asks from nothing, the next from what is known", async () => {
  const { control: channel, asked } = control();
  const all = new KnownApps();
  const pulled = all.pull(channel);
  assert.deepEqual(asked[0]!.fields, { groupId: "", since: 0 });
  asked[0]!.answer(changes(5, true, [app("a", 5)]));
  assert.deepEqual(await pulled, { revision: 5, outdated: ["a"] });
  assert.deepEqual([all.revision, all.groupId, all.size], [5, "g", 1]);
  void all.pull(channel);
  assert.deepEqual(asked[1]!.fields, { groupId: "g", since: 5 });
});

test("parts are applied all at once, with the last", async () => {
  const { all, channel, asked } = await known(app("a", 1), app("b", 2));
  const pulled = all.pull(channel);
  asked[0]!.part(changes(9, false, [app("c", 6)], ["a"]));
  asked[0]!.part(changes(9, false, [app("b", 7)]));
  assert.deepEqual([all.get("a")?.revision, all.get("b")?.revision, all.get("c")], [1, 2, undefined]);
  assert.equal(all.revision, 5);
  asked[0]!.answer(changes(9, false, [app("d", 9)]));
  const { outdated } = await pulled;
  assert.deepEqual(outdated.toSorted(), ["a", "b", "c", "d"]);
  assert.deepEqual([...all.all()].map(({ id, revision }) => `${id}${revision}`), ["b7", "c6", "d9"]);
  assert.equal(all.revision, 9);
});

test("a pull that fails between its parts changes nothing", async () => {
  const { all, channel, asked } = await known(app("a", 1));
  const pulled = all.pull(channel);
  asked[0]!.part(changes(9, true, [app("z", 6)]));
  asked[0]!.fail(new Error("tunnel lost"));
  await assert.rejects(pulled);
  assert.deepEqual([...all.all()].map(({ id }) => id), ["a"]);
  assert.equal(all.revision, 5);
});

test("a full answer forgets what is not in it", async () => {
  const { all, channel, asked } = await known(app("a", 1), app("b", 2));
  const pulled = all.pull(channel);
  asked[0]!.answer(changes(9, true, [app("b", 2)]));
  assert.deepEqual((await pulled).outdated, ["a"], "what was kept for b is still good");
  assert.deepEqual([...all.all()].map(({ id }) => id), ["b"]);
});

test("nothing has changed", async () => {
  const { all, channel, asked } = await known(app("a", 1));
  const pulled = all.pull(channel);
  asked[0]!.answer({ unchanged: true, groupId: "g", revision: 5 });
  assert.deepEqual(await pulled, { revision: 5, outdated: [] });
  assert.equal(all.size, 1);
});

test("who asks during a pull shares one more, which sees what changed after the first was answered", async () => {
  const { all, channel, asked } = await known(app("a", 1));
  const first = all.pull(channel);
  const later = [all.pull(channel), all.pull(channel), all.pull(channel)];
  assert.equal(asked.length, 1);
  asked[0]!.answer({ unchanged: true, groupId: "g", revision: 5 });
  await first;
  await turn();
  assert.equal(asked.length, 2, "one for all three");
  asked[1]!.answer(changes(6, false, [app("b", 6)]));
  assert.deepEqual((await Promise.all(later)).map(({ revision }) => revision), [6, 6, 6]);
  assert.equal(all.get("b")?.revision, 6);
});

test("who asks during a pull that fails is served by the next", async () => {
  const { all, channel, asked } = await known();
  const first = all.pull(channel);
  const second = all.pull(channel);
  asked[0]!.fail(new Error("too slow"));
  await assert.rejects(first);
  await turn();
  asked[1]!.answer(changes(6, false, [app("b", 6)]));
  assert.equal((await second).revision, 6);
});

test("a pull of one tunnel that is lost does not fail the other tunnel's", async () => {
  const { all, channel: other, asked: othersAsked } = await known();
  const { control: lost, asked: lostAsked } = control();
  const { control: own, asked: ownAsked } = control();
  const first = all.pull(other);
  const failed = assert.rejects(all.pull(lost));
  const mine = all.pull(own);
  othersAsked[0]!.answer({ unchanged: true, groupId: "g", revision: 5 });
  await first;
  await turn();
  lostAsked[0]!.fail(new Error("tunnel lost"));
  await failed;
  await turn();
  ownAsked[0]!.answer(changes(6, false, [app("b", 6)]));
  assert.equal((await mine).revision, 6);
});

test("an answer that cannot be read changes nothing", async () => {
  const { all, channel, asked } = await known(app("a", 1));
  const pulled = all.pull(channel);
  asked[0]!.answer({ groupId: "g", revision: 6, full: true, apps: [{ id: 7 }], removedIds: [] });
  await assert.rejects(pulled, { code: "protocol_error" });
  assert.equal(all.revision, 5);
});

test("a tunnel that has fallen silent holds up the pull of another one for a second; its late answer counts no more", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => t.mock.timers.reset()); // Deno does not do that by itself.
  const { all, channel, asked } = await known(app("a", 5));
  const stuck = all.pull(channel);
  const other = control();
  const pulled = all.pull(other.control);
  await turn();
  assert.equal(other.asked.length, 0);
  t.mock.timers.tick(1_000);
  await turn();
  other.asked[0]!.answer(changes(7, false, [app("b", 7)]));
  assert.deepEqual(await pulled, { revision: 7, outdated: ["b"] });
  asked[0]!.answer(changes(6, false, [], ["a"]));
  assert.deepEqual(await stuck, { revision: 7, outdated: [] });
  assert.deepEqual([all.revision, all.size], [7, 2]);
});
