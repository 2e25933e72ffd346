import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { DialError } from "../../../src/connector/errors.ts";
import type { Identity } from "../../../src/connector/identity/identity.ts";
import { Renewer, type RenewerOptions } from "../../../src/connector/renewer.ts";
import type { Supervisor } from "../../../src/connector/supervisor.ts";
import type { DialTarget } from "../../../src/connector/tunnel_socket.ts";
import { silentLog } from "../../../src/platform/log.ts";
import { identityFolder, NOW } from "../../support/identity_folder.ts";

const DAY_MS = 86_400_000;

/** A certificate that is due, one tunnel to renew it over, and nothing that may come of it. */
function due(stateDir: string, identity: Identity, tunnel: unknown): RenewerOptions {
  return {
    stateDir,
    identity: () => identity,
    use: () => assert.fail("used"),
    targetOf: () => assert.fail("dialled"),
    supervisors: [{ tunnel, certificate: identity.certificate } as unknown as Supervisor],
    log: silentLog,
    now: () => NOW + 9 * DAY_MS,
  };
}

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
  const renewer = new Renewer(due(state, identity, tunnel));
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

test("Renewer: what is news while an attempt fails is looked at soon, however long the wait has become", {
  timeout: 60_000,
}, async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort()); // Before the folder goes.
  const { state, identity } = await identityFolder(t);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => t.mock.timers.reset()); // Deno does not do that by itself.
  let attempts = 0;
  let failed = Promise.withResolvers<void>();
  const tunnel = {
    renew: () => {
      attempts += 1;
      if (attempts === 3) renewer.look();
      return Promise.reject(new DialError("broker_unreachable", "dead", { retryable: true }));
    },
  };
  const renewer = new Renewer({
    ...due(state, identity, tunnel),
    log: { ...silentLog, warn: () => failed.resolve() },
    random: () => 1,
  });
  const running = renewer.run(stop.signal);
  const after = async (ms: number): Promise<number> => {
    failed = Promise.withResolvers();
    t.mock.timers.tick(ms);
    await Promise.race([failed.promise, running]);
    await new Promise((resolve) => setImmediate(resolve));
    return attempts;
  };
  // The first attempt is due at once, as soon as the folder was looked at.
  const first = failed.promise.then(() => "failed");
  while (await Promise.race([first, new Promise((resolve) => setImmediate(resolve))]) !== "failed") {
    t.mock.timers.tick(0);
  }
  assert.equal(attempts, 1);
  assert.equal(await after(5_000), 2);
  assert.equal(await after(10_000), 3);
  assert.equal(await after(5_000), 4, "not after 20 s");
  assert.equal(await after(40_000), 5, "the next wait is as long as it was to be");
  stop.abort();
  await running;
});

test("Renewer: a tunnel that comes up with the certificate before while others are moved is moved next", {
  timeout: 60_000,
}, async (t) => {
  const stop = new AbortController();
  t.after(() => stop.abort()); // Before the folder goes.
  const { state, identity, sign } = await identityFolder(t);
  const moved = Promise.withResolvers<void>();
  const supervisor = (tunnel: unknown, replaced: () => void) => {
    let dialledWith = identity.certificate;
    const one = {
      tunnel,
      get certificate() {
        return one.tunnel === null ? null : dialledWith;
      },
      async replace(...[target, _signal, accept]: Parameters<Supervisor["replace"]>) {
        await accept?.();
        dialledWith = target.certificate;
        replaced();
      },
    };
    return one;
  };
  const late = supervisor(null, moved.resolve);
  let used = identity;
  const renewer: Renewer = new Renewer({
    ...due(state, identity, null),
    identity: () => used,
    use: (next) => used = next,
    targetOf: ({ certificate }) => ({ certificate }) as DialTarget,
    supervisors: [
      supervisor({ renew: sign }, () => {}),
      late,
      supervisor({}, () => {
        late.tunnel = {};
        renewer.look();
      }),
    ] as unknown as Supervisor[],
  });
  const running = renewer.run(stop.signal);
  await moved.promise;
  assert.equal(late.certificate, used.certificate);
  stop.abort();
  await running;
});
