import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { DialError } from "../../../src/connector/errors.ts";
import { Supervisor } from "../../../src/connector/supervisor.ts";
import { type Log, silentLog } from "../../../src/platform/log.ts";
import type { Fields } from "../../../src/tunnel/control_channel.ts";
import { context, type FakeSession, goodTunnel } from "./good_tunnel.ts";

const unreachable = () => new DialError("broker_unreachable", "refused", { retryable: true });

type Step = Error | { lastsMs: number; welcome?: Fields; notice?: readonly [string, Fields] };

/** Runs a supervisor through these dials with the largest jitter; gives the waits after each. */
async function waitsAfter(t: TestContext, steps: Step[], log = silentLog): Promise<number[]> {
  t.mock.method(Math, "random", () => 1);
  const controller = new AbortController();
  const waits: number[] = [];
  let time = 0;
  let at = 0;
  let current: { session: FakeSession; lastsMs: number } | null = null;
  let told: () => void = () => {};
  const supervisor = new Supervisor({
    target: () => ({}) as never,
    context: context(),
    log,
    stepMs: 1_000,
    now: () => time,
    dial: () => {
      const step = steps[at++]!;
      if (step instanceof Error) return Promise.reject(step);
      const { dialled, session, channel } = goodTunnel(step.welcome);
      current = { session, lastsMs: step.lastsMs };
      told = () => step.notice !== undefined && channel.notice(...step.notice);
      return Promise.resolve(dialled);
    },
    onReady: () =>
      setImmediate(() => {
        time += current!.lastsMs;
        told();
        setTimeout(() => current!.session.destroy());
      }),
    wait: (ms) => {
      waits.push(ms);
      time += ms;
      if (at === steps.length) controller.abort();
      return Promise.resolve();
    },
  });
  await supervisor.run(controller.signal);
  assert.equal(supervisor.state, "stopped");
  return waits;
}

test("while the broker's listener is not there, waits double from 250 ms to half a second; after a minute to a second", async (t) => {
  const waits = await waitsAfter(t, Array.from({ length: 122 }, unreachable));
  assert.deepEqual(waits.slice(0, 3), [250, 500, 500]);
  assert.deepEqual(waits.slice(-3), [500, 1_000, 1_000]);
});

test("the first dial after a loss is spread over the window that the broker told; older ones tell none", async (t) => {
  const good = (reconnectWindowMs?: unknown) => ({ lastsMs: 10_000, welcome: { reconnectWindowMs } });
  assert.deepEqual(
    await waitsAfter(t, [good(), unreachable(), good(3_000), unreachable(), unreachable()]),
    [250, 500, 3_000, 500, 1_000],
  );
  assert.deepEqual(
    (await waitsAfter(t, [good(9_000), ...Array.from({ length: 5 }, unreachable)])).slice(-2),
    [
      2_000,
      2_000,
    ],
  );
  assert.deepEqual(await waitsAfter(t, [good(1e9), good(0), good("x"), good(-1)]), [15_000, 250, 250, 250]);
});

test("a notice of the broker replaces the window", async (t) => {
  const steps = [{ lastsMs: 10_000, notice: ["reconnect.window", { reconnectWindowMs: 4_000 }] as const }];
  assert.deepEqual(await waitsAfter(t, steps), [4_000]);
});

for (
  const [code, retryable, capMs] of [
    ["broker_unresolvable", true, 2_000],
    ["broker_timeout", true, 20_000],
    ["broker_lost", true, 20_000],
    ["broker_untrusted", false, 20_000],
    ["certificate_rejected", false, 20_000],
    ["tunnel_refused", true, 20_000],
    ["tunnel_refused", false, 60_000],
  ] as const
) {
  test(`waits after ${code}${retryable ? "" : " for good"} grow to ${capMs / 1_000} s`, async (t) => {
    const waits = await waitsAfter(
      t,
      Array.from({ length: 12 }, () => new DialError(code, "", { retryable })),
    );
    assert.equal(waits.at(-1), capMs);
    assert.equal(waits[0], 250);
  });
}

test("shut out by the broker, it waits 5 minutes, give or take a fifth, from the first time on", async (t) => {
  const shutOut = () => new DialError("tunnel_refused", "", { details: { reason: "connector_disabled" } });
  const waits = await waitsAfter(t, [shutOut(), shutOut(), shutOut()]);
  assert.deepEqual(waits.map(Math.round), [360_000, 360_000, 360_000]);
});

test("a broker that it does not trust is dialled at the usual pace, and is in the log once in five minutes", async (t) => {
  const lines: [string, unknown][] = [];
  const write = (text: string, fields?: Readonly<Record<string, unknown>>) =>
    void lines.push([text, fields?.code]);
  const log: Log = { ...silentLog, warn: write, error: write };
  const untrusted = () => new DialError("broker_untrusted", "", { details: { reason: "X" } });
  const waits = await waitsAfter(t, Array.from({ length: 25 }, untrusted), log);
  assert.equal(waits.at(-1), 20_000);
  const advice = ["does not trust the broker", "broker_untrusted"];
  assert.deepEqual(lines, [
    ["no tunnel", "broker_untrusted"],
    advice,
    ["still no tunnel", "broker_untrusted"],
    advice,
  ]);
});

test("a broker that is away for two minutes is in the log once a minute, however often it is dialled", async (t) => {
  const lines: unknown[] = [];
  const write = (text: string) => void lines.push(text);
  const log: Log = { ...silentLog, info: write, warn: write, error: write };
  const waits = await waitsAfter(t, [{ lastsMs: 10_000 }, ...Array.from({ length: 250 }, unreachable)], log);
  const seconds = waits.reduce((sum, ms) => sum + ms) / 1_000;
  assert.ok(seconds > 180 && seconds < 240);
  const still = Array.from({ length: 3 }, () => "still no tunnel");
  assert.deepEqual(lines, ["tunnel ready", "tunnel lost", "no tunnel", ...still]);
});

test("an error that is none of dialling is waited for, too", async (t) => {
  const waits = await waitsAfter(t, Array.from({ length: 12 }, () => new TypeError("unexpected")));
  assert.equal(waits.at(-1), 20_000);
});

test("only a tunnel that lasted 10 s makes waits short again", async (t) => {
  const failures = Array.from({ length: 4 }, unreachable);
  assert.deepEqual(
    await waitsAfter(t, [...failures, { lastsMs: 9_999 }, unreachable(), { lastsMs: 10_000 }, unreachable()]),
    [250, 500, 500, 500, 250, 500, 250, 500],
  );
  const short = { lastsMs: 9_999 };
  assert.deepEqual(await waitsAfter(t, [short, short, unreachable(), short, { lastsMs: 10_000 }, short]), [
    ...[250, 500, 500, 1_000],
    ...[250, 500],
  ]);
});

test("that nobody was there for long makes no wait longer once somebody is", async (t) => {
  const away = () => Array.from({ length: 20 }, unreachable);
  const lost = () => new DialError("broker_lost", "", { retryable: true });
  const waits = await waitsAfter(t, [...away(), lost(), lost(), ...away(), { lastsMs: 5_000 }]);
  assert.deepEqual([waits[20], waits[21], waits.at(-1)], [250, 500, 1_000]);
});

test("a signal ends the tunnel and the run", async () => {
  const controller = new AbortController();
  const { dialled, session } = goodTunnel();
  const supervisor = new Supervisor({
    target: () => ({}) as never,
    context: context(),
    log: silentLog,
    stepMs: 1_000,
    dial: () => Promise.resolve(dialled),
    onReady: () => controller.abort(),
  });
  await supervisor.run(controller.signal);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(session.destroyed, true);
  assert.equal(supervisor.tunnel, null);
  assert.equal(supervisor.state, "stopped");
});

test("a tunnel that was dialled beside one that is about to end is told of like any other", async () => {
  const controller = new AbortController();
  const [first, second] = [goodTunnel(), goodTunnel()];
  const dials = [first, second];
  const ready: unknown[] = [];
  const supervisor: Supervisor = new Supervisor({
    target: () => ({}) as never,
    context: context(),
    log: silentLog,
    stepMs: 1_000,
    dial: () => Promise.resolve(dials.shift()!.dialled),
    onReady: (tunnel) => {
      assert.equal(tunnel, supervisor.tunnel);
      ready.push(tunnel);
      if (dials.length > 0) first.channel.notice("drain", { graceMs: 1_000 });
      else setImmediate(() => controller.abort());
    },
  });
  await supervisor.run(controller.signal);
  assert.equal(new Set(ready).size, 2);
  first.session.destroy();
});

test("a signal within the call that tells of a tunnel dialled beside another ends that tunnel and the run", {
  timeout: 60_000,
}, async (t) => {
  const controller = new AbortController();
  const [first, second] = [goodTunnel(), goodTunnel()];
  t.after(() => [first, second].forEach(({ session }) => session.destroy()));
  const dials = [first, second];
  const supervisor = new Supervisor({
    target: () => ({}) as never,
    context: context(),
    log: silentLog,
    stepMs: 1_000,
    dial: () => Promise.resolve(dials.shift()!.dialled),
    onReady: () => {
      if (dials.length > 0) first.channel.notice("drain", { graceMs: 1_000 });
      else controller.abort();
    },
  });
  await supervisor.run(controller.signal);
  assert.equal(supervisor.state, "stopped");
});
