import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openCa } from "../../../../src/broker/ca/ca.ts";
import {
  beginRollOverNow,
  dropRootNow,
  exportRootKey,
  openCaFiles,
  renewIssuingNow,
} from "../../../../src/broker/cli/ca.ts";
import { dataFolder } from "../../../../src/broker/data_folder.ts";
import { audited } from "../../../../src/broker/store/audited.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { temporaryFolder, temporaryStore } from "../../../support/store_fixture.ts";

test("audited: an entry for what was done while a broker uses the store, none for what failed", async (t) => {
  const { store, path } = await temporaryStore(t);
  const entry = {
    actor: { kind: "system", id: "x" },
    action: "a.b",
    target: "t",
    details: { n: 1 },
  } as const;
  assert.equal(await audited(path, entry, () => Promise.resolve(5)), 5);
  await assert.rejects(audited(path, entry, () => Promise.reject(new Error("no"))), /no/);
  const [{ at: _at, id: _id, ...first }, ...more] = (await store.listAudit({ limit: 9 })).items as [
    Awaited<ReturnType<typeof store.listAudit>>["items"][number],
  ];
  assert.deepEqual([first, more], [entry, []]);
  await store.createGroup(entry.actor, "it goes on");
  assert.equal(await audited(join(temporaryFolder(t), "none"), entry, () => Promise.resolve(6)), 6);
});

test("ca commands: each leaves an entry that says what was done and by whom; one that is refused leaves none", async (t) => {
  const root = join(temporaryFolder(t), "data");
  const { store } = await temporaryStore(t, { path: dataFolder(root).store });
  await (await openCa(root, { names: ["t.test"], log: silentLog }))[Symbol.asyncDispose]();
  const files = await openCaFiles(root, "", {});
  await renewIssuingNow(files);
  const { roots } = await beginRollOverNow(files);
  await assert.rejects(beginRollOverNow(files), { code: "ca_roll_over_refused" });
  const { fingerprint } = roots.find(({ state }) => state === "next")!;
  await dropRootNow(files, fingerprint);
  const to = join(root, "exported.pem");
  await exportRootKey(files, to, false);
  const entries = (await store.listAudit({ limit: 9 })).items.reverse();
  assert.deepEqual(entries.map(({ action }) => action), [
    "ca.renew_issuing",
    "ca.roll_over",
    "ca.drop_root",
    "ca.export_root_key",
  ]);
  const { user, ...details } = entries[3]!.details;
  assert.equal(typeof user, "string");
  assert.deepEqual(details, { to, removed: false });
  assert.equal(entries[2]!.details.fingerprint, fingerprint);
});
