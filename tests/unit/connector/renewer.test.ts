import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { DialError } from "../../../src/connector/errors.ts";
import { Renewer } from "../../../src/connector/renewer.ts";
import type { Supervisor } from "../../../src/connector/supervisor.ts";
import type { DialTarget } from "../../../src/connector/tunnel_socket.ts";
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

test("Renewer: what one tunnel cannot do another one is asked for, and each is moved whatever becomes of the others", async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort()); // Before the folder goes.
  const { state, identity, sign } = await identityFolder(t);
  let failures = 0;
  const dead = () => {
    failures += 1;
    if (failures > 9) over.reject(new Error("nobody else was tried"));
    return Promise.reject(new DialError("broker_unreachable", "dead", { retryable: true }));
  };
  const moves: string[] = [];
  const over = Promise.withResolvers<void>();
  const supervisor = (
    name: string,
    renew: (csr: string) => Promise<string>,
    replace: Supervisor["replace"],
  ): Supervisor => {
    const one = {
      tunnel: { renew },
      certificate: identity.certificate,
      async replace(...args: Parameters<Supervisor["replace"]>) {
        moves.push(name);
        await replace(...args);
        one.certificate = args[0].certificate;
      },
    };
    return one as unknown as Supervisor;
  };
  let used = identity;
  const renewer = new Renewer({
    stateDir: state,
    identity: () => used,
    use: (next) => used = next,
    targetOf: ({ certificate }) => ({ certificate }) as DialTarget,
    supervisors: [
      supervisor("a", dead, dead),
      supervisor("b", (csr) => sign(csr), async (_target, _signal, accept) => await accept?.()),
      supervisor("c", dead, () => Promise.resolve(over.resolve())),
    ],
    log: silentLog,
    now: () => NOW + 9 * DAY_MS,
    random: () => 0,
  });
  const running = renewer.run(stop.signal);
  await Promise.race([over.promise, running]);
  await new Promise((resolve) => setImmediate(resolve));
  const { renewalError } = renewer.facts;
  stop.abort();
  await running;
  assert.notEqual(used.certificate, identity.certificate);
  assert.deepEqual(moves.slice(0, 3), ["b", "a", "c"]);
  assert.equal(renewalError, "dead", "the first of the errors is shown");
});
