import assert from "node:assert/strict";
import { test } from "node:test";
import { followSettings } from "../../../src/broker/follow_settings.ts";
import type { Logging } from "../../../src/platform/logging.ts";
import { ADMIN, temporaryStore } from "../../support/store_fixture.ts";

test("settings: what the administrator has said nothing about stays as it is configured", async (t) => {
  const { store } = await temporaryStore(t);
  const said: unknown[] = [];
  let next = Promise.withResolvers<void>();
  const logging = {
    setLevel: (level: string) => void said.push(level),
    setSessionLog: (on: boolean) => {
      said.push(on);
      next.resolve();
    },
  } as unknown as Logging;
  t.after(await followSettings(store, logging));
  await store.updateSettings(ADMIN, { latestVersion: "9.9.9" });
  await store.getSettings(); // Asked after whoever follows has asked.
  await store.updateSettings(ADMIN, { sessionLog: false });
  await next.promise;
  assert.deepEqual(said, [false]);
  next = Promise.withResolvers<void>();
  await store.updateSettings(ADMIN, { logLevel: "info" });
  await next.promise;
  assert.deepEqual(said, [false, "info", false]);
});
