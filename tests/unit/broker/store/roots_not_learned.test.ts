import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { MIGRATIONS } from "../../../../src/broker/store/migrations.ts";
import { connectorsWithoutRoot } from "../../../../src/broker/store/roots_not_learned.ts";
import { openStore } from "../../../../src/broker/store/sqlite.ts";
import { ADMIN, enrolOne, temporaryFolder, temporaryStore } from "../../../support/store_fixture.ts";

const ROOT = "a".repeat(64);
const NEXT = "b".repeat(64);

test("roots not learned: whoever has not said it, is enabled, and has not registered since", async (t) => {
  const { store, clock, path } = await temporaryStore(t);
  const { connector } = await enrolOne(store, clock);
  const without = async () => (await connectorsWithoutRoot(path, NEXT)).map(({ id }) => id);
  assert.deepEqual(await connectorsWithoutRoot(path, NEXT), [
    { id: connector.id, machineName: connector.machineName, lastSeenAt: null },
  ]);
  await store.noteConnectorSeen(connector.id, { at: 1_000, trustedRoots: [ROOT] });
  await store.noteConnectorSeen(connector.id, { at: 2_000 }); // A tunnel alone says nothing.
  assert.equal((await connectorsWithoutRoot(path, NEXT))[0]?.lastSeenAt, "1970-01-01T00:00:02.000Z");
  await store.updateConnector(ADMIN, connector.id, { enabled: false });
  assert.deepEqual(await without(), []);
  await store.updateConnector(ADMIN, connector.id, { enabled: true });
  assert.deepEqual(await without(), [connector.id]);
  await store.noteConnectorSeen(connector.id, { at: 3_000, trustedRoots: [ROOT, NEXT] });
  assert.deepEqual(await without(), []);
  await store.noteConnectorSeen(connector.id, { at: 4_000 });
  assert.deepEqual(await without(), []);
});

test("roots not learned: none without a store; in a store of an earlier release, all", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  assert.deepEqual(await connectorsWithoutRoot(path, NEXT), []);
  await (await openStore({ path, migrations: MIGRATIONS.slice(0, 4) })).close();
  const database = new DatabaseSync(path);
  database.exec(`INSERT INTO connectors (id, version, created_at, updated_at, group_id, machine_name, os,
    software_version, external_ip, enabled, certificate_serial, certificate_not_after, public_key_sha256,
    enrolment_token_id) SELECT 'c', 1, 0, 0, id, 'm', '', '', '', 1, '', 0, '', '' FROM groups LIMIT 1`);
  database.close();
  assert.deepEqual((await connectorsWithoutRoot(path, NEXT)).map(({ id }) => id), ["c"]);
});
