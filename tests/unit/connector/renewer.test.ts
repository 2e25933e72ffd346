import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { Renewer } from "../../../src/connector/renewer.ts";
import type { Supervisor } from "../../../src/connector/supervisor.ts";
import { silentLog } from "../../../src/platform/log.ts";
import { identityFolder, NOW } from "../../support/identity_folder.ts";

const DAY_MS = 86_400_000;

test("Renewer: who wants it to stop does not wait for an answer of the broker, and nothing is written after it", async (t) => {
  const { state, identity, sign } = await identityFolder(t);
  const asked = Promise.withResolvers<string>();
  const answer = Promise.withResolvers<string>();
  const tunnel = {
    renew: (csr: string) => {
      asked.resolve(csr);
      return answer.promise;
    },
  };
  const renewer = new Renewer({
    stateDir: state,
    identity: () => identity,
    use: () => assert.fail("used"),
    targetOf: () => assert.fail("dialled"),
    supervisors: [{ tunnel, certificate: identity.certificate } as unknown as Supervisor],
    log: silentLog,
    now: () => NOW + 9 * DAY_MS,
  });
  const stop = new AbortController();
  const running = renewer.run(stop.signal);
  const csr = await asked.promise;
  stop.abort();
  await running;
  const before = await readdir(state);
  answer.resolve(await sign(csr));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await readdir(state), before);
});
