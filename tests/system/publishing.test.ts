/** What the admin API has answered is in force: whoever publishes an app and opens it at once gets it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { Users } from "../support/user_requests.ts";

const WRITERS = 8;
const ROUNDS = 25;

test("an app is served, changed and gone as soon as the API has answered, with several writers at once", async () => {
  await using stage = await TunnelStage.start();
  const [one, two] = await Promise.all(
    ["one", "two"].map((name) => stage.backend((_req, res) => res.end(name))),
  );
  using users = new Users();
  const { admin } = stage.broker;
  const seen: Record<string, number> = {};
  const open = async (when: string, path: string) => {
    const { status, body } = await users.get(stage.url(path));
    const key = `${when}: ${status === 200 ? body : status}`;
    seen[key] = (seen[key] ?? 0) + 1;
  };
  await Promise.all(Array.from({ length: WRITERS }, async (_, writer) => {
    for (let round = 0; round < ROUNDS; round++) {
      const path = `/${writer}/${round}`;
      const id = await stage.publish(path, one!.origin);
      await open("published", path);
      await admin.request("PATCH", `apps/${id}`, { internalUrl: two!.origin });
      await open("changed", path);
      await admin.request("DELETE", `apps/${id}`);
      await open("deleted", path);
    }
  }));
  const all = WRITERS * ROUNDS;
  assert.deepEqual(seen, { "published: one": all, "changed: two": all, "deleted: 404": all });
});

test("a connector that is moved serves its new group, and the old one no more, as soon as the API has answered", async () => {
  await using stage = await TunnelStage.start({
    prepare: () => Promise.resolve(["--wait-for-connector-ms", "0"]),
  });
  const { origin } = await stage.backend((_req, res) => res.end("ok"));
  using users = new Users();
  const { admin } = stage.broker;
  const { id: other } = await admin.request("POST", "groups", { name: "Other" }) as { id: string };
  const groups = ["default", other];
  for (const groupId of groups) await stage.publish(`/${groupId}`, origin, { groupId });
  const answers = () =>
    Promise.all(groups.map(async (id) => {
      const { status, body } = await users.get(stage.url(`/${id}`));
      return status === 200 ? body : (JSON.parse(body) as { code: string }).code;
    }));
  for (let round = 0; round < 20; round++) {
    await admin.request("PATCH", `connectors/${stage.connectorId}`, { groupId: other });
    assert.deepEqual(await answers(), ["no_connector", "ok"]);
    await admin.request("PATCH", `connectors/${stage.connectorId}`, { groupId: "default" });
    assert.deepEqual(await answers(), ["ok", "no_connector"]);
  }
  await admin.request("PATCH", `connectors/${stage.connectorId}`, { enabled: false });
  assert.deepEqual(await answers(), ["no_connector", "no_connector"]);
});
