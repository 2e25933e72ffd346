import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { App } from "../../../../src/broker/model.ts";
import type { AppChanges, Store } from "../../../../src/broker/store/port.ts";
import { ADMIN, appSettings, temporaryStore } from "../../../support/store_fixture.ts";
import { assertHolds } from "../../../support/property.ts";

const ids = (changes: AppChanges) => changes.apps.map((app) => app.id);

test("app changes: revision 0 and unknown ones give everything, the current one nothing", async (t) => {
  const { store } = await temporaryStore(t);
  assert.deepEqual(await store.appChanges("default", 0), {
    revision: 1,
    full: true,
    apps: [],
    removedIds: [],
  });
  const app = await store.createApp(ADMIN, appSettings("Wiki"));
  await store.createApp(ADMIN, appSettings("Off", { enabled: false }));
  assert.deepEqual(await store.appChanges("default", 3), {
    revision: 3,
    full: false,
    apps: [],
    removedIds: [],
  });
  for (const since of [0, -1, 4, 1e9, NaN]) {
    assert.deepEqual(await store.appChanges("default", since), {
      revision: 3,
      full: true,
      apps: [app],
      removedIds: [],
    });
  }
  await assert.rejects(store.appChanges("x", 0), { code: "not_found" });
});

test("app changes: one change gives one app", async (t) => {
  const { store } = await temporaryStore(t);
  const made: App[] = [];
  for (let i = 0; i < 20; i++) made.push(await store.createApp(ADMIN, appSettings(`app${i}`)));
  const before = await store.groupRevision("default");
  const updated = await store.updateApp(ADMIN, made[7]!.id, { hostHeader: "user" });
  assert.deepEqual(await store.appChanges("default", before), {
    revision: before + 1,
    full: false,
    apps: [updated],
    removedIds: [],
  });
});

test("app changes: deleted, disabled and moved apps are to be forgotten, enabled again ones are not", async (t) => {
  const { store, changes } = await temporaryStore(t);
  const branch = (await store.createGroup(ADMIN, "Branch")).id;
  const [a, b, c] = [
    await store.createApp(ADMIN, appSettings("a")),
    await store.createApp(ADMIN, appSettings("b")),
    await store.createApp(ADMIN, appSettings("c")),
  ];
  const since = await store.groupRevision("default");
  changes.length = 0;
  await store.deleteApp(ADMIN, a.id);
  await store.updateApp(ADMIN, b.id, { enabled: false });
  await store.updateApp(ADMIN, c.id, { groupId: branch });
  assert.deepEqual((await store.appChanges("default", since)).removedIds, [a.id, b.id, c.id]);
  assert.deepEqual(ids(await store.appChanges(branch, 1)), [c.id]);
  assert.deepEqual(changes.at(-1), { kind: "apps", groupIds: ["default", branch] });

  const moved = await store.groupRevision(branch);
  await store.updateApp(ADMIN, b.id, { enabled: true });
  await store.updateApp(ADMIN, c.id, { groupId: "default" });
  const back = await store.appChanges("default", since);
  assert.deepEqual([ids(back), back.removedIds], [[b.id, c.id], [a.id]]);
  assert.deepEqual((await store.appChanges(branch, moved)).removedIds, [c.id]);
});

test("app changes: tombstones are bounded; who has missed dropped ones gets everything", async (t) => {
  const { store } = await temporaryStore(t, { maxTombstones: 32 });
  const kept = await store.createApp(ADMIN, appSettings("Kept"));
  const aliveAt = new Map<number, string>();
  for (let i = 0; i < 40; i++) {
    const app = await store.createApp(ADMIN, appSettings(`app${i}`));
    aliveAt.set(app.revision, app.id);
    await store.deleteApp(ADMIN, app.id);
  }
  const { revision } = await store.appChanges("default", 0);
  let increments = 0;
  for (let since = kept.revision; since < revision; since++) {
    const changes = await store.appChanges("default", since);
    if (changes.full) {
      assert.deepEqual(ids(changes), [kept.id]);
      continue;
    }
    increments++;
    const known = aliveAt.get(since);
    assert.ok(known === undefined || changes.removedIds.includes(known), `since ${since}`);
  }
  assert.ok(increments >= 2 * 31 && increments < 2 * 36, `${increments} increments`);
});

/** What a connector knows, by applying what it pulls. */
class Follower {
  readonly groupId: string;
  revision = 0;
  known = new Map<string, App>();

  constructor(groupId: string) {
    this.groupId = groupId;
  }

  async pull(store: Store): Promise<void> {
    const { revision, full, apps, removedIds } = await store.appChanges(this.groupId, this.revision);
    if (full) this.known = new Map();
    for (const id of removedIds) this.known.delete(id);
    for (const app of apps) this.known.set(app.id, app);
    this.revision = revision;
  }
}

const slot = fc.nat(5);
const operation = fc.oneof(
  fc.record({ do: fc.constant("create" as const), slot, group: fc.nat(1), enabled: fc.boolean() }),
  fc.record({ do: fc.constant("delete" as const), slot }),
  fc.record({ do: fc.constant("enable" as const), slot, enabled: fc.boolean() }),
  fc.record({
    do: fc.constant("move" as const),
    slot,
    group: fc.nat(1),
    enabled: fc.option(fc.boolean(), { nil: undefined }),
  }),
  fc.record({ do: fc.constant("change" as const), slot, port: fc.nat(3) }),
  fc.record({ do: fc.constant("pull" as const), follower: fc.nat(3) }),
);

test("app changes: increments lead to what a full read gives, under any operations", async (t) => {
  const { store } = await temporaryStore(t, { maxTombstones: 4 });
  const groups = ["default", (await store.createGroup(ADMIN, "Branch")).id];
  await assertHolds(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: "max" }), async (operations) => {
      const followers = [0, 0, 1, 1].map((group) => new Follower(groups[group]!));
      const apps = new Map<number, string>();
      for (const step of operations) {
        if (step.do === "pull") {
          await followers[step.follower]!.pull(store);
          continue;
        }
        const id = apps.get(step.slot);
        if (step.do === "create" && id === undefined) {
          const groupId = groups[step.group]!;
          const app = await store.createApp(
            ADMIN,
            appSettings(`app${step.slot}`, { groupId, enabled: step.enabled }),
          );
          apps.set(step.slot, app.id);
        }
        if (id === undefined) continue;
        if (step.do === "delete") {
          await store.deleteApp(ADMIN, id);
          apps.delete(step.slot);
        }
        if (step.do === "enable") await store.updateApp(ADMIN, id, { enabled: step.enabled });
        if (step.do === "move") {
          await store.updateApp(ADMIN, id, { groupId: groups[step.group]!, enabled: step.enabled });
        }
        if (step.do === "change") {
          await store.updateApp(ADMIN, id, { internalUrl: `http://10.0.0.1:${step.port + 1}/` });
        }
      }
      for (const follower of followers) {
        await follower.pull(store);
        const full = await store.appChanges(follower.groupId, 0);
        assert.equal(follower.revision, full.revision);
        assert.deepEqual([...follower.known.values()].sort(byId), full.apps.sort(byId));
      }
      for (const id of apps.values()) await store.deleteApp(ADMIN, id);
    }),
    { numRuns: 60 },
  );
});

function byId(a: App, b: App): number {
  return a.id < b.id ? -1 : 1;
}
