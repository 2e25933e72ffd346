import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_PROBE_TIMES, Probe, type Probed } from "../../../../src/broker/tunnel/probe.ts";
import type { ExchangeHandler } from "../../../../src/tunnel/exchange_handler.ts";
import type { Lane } from "../../../../src/tunnel/lane.ts";

/** A tunnel whose lanes remember what began on them. */
class Tunnel implements Probed {
  laneBytes = 0;
  answeredAt = Number.NEGATIVE_INFINITY;
  hasLanes = true;
  isFull = false;
  begun = 0;
  handler: ExchangeHandler | null = null;

  takeProbeLane(): Lane | undefined {
    if (!this.hasLanes) return undefined;
    const begin = (_frame: Buffer, _follows: string, handler: ExchangeHandler) => {
      this.begun += 1;
      this.handler = handler;
    };
    return { isIdle: true, begin } as unknown as Lane;
  }

  answer(): void {
    this.laneBytes += 20;
    this.handler!.response({ status: 204, reason: "", headers: [], hasBody: false });
  }
}

function probed(): { tunnel: Tunnel; probe: Probe; run: (from: number, to: number) => void } {
  const tunnel = new Tunnel();
  const probe = new Probe(tunnel, DEFAULT_PROBE_TIMES);
  const run = (from: number, to: number) => {
    for (let now = from; now <= to; now += 250) probe.tick(now);
  };
  return { tunnel, probe, run };
}

test("a tunnel without traffic is probed once a second, and is well while answers come", () => {
  const { tunnel, probe, run } = probed();
  for (let now = 0; now <= 10_000; now += 250) {
    const before = tunnel.begun;
    probe.tick(now);
    if (tunnel.begun > before) tunnel.answer();
  }
  assert.equal(tunnel.begun, 11);
  assert.equal(probe.hasFailed, false);
  run(10_250, 10_500);
  assert.equal(tunnel.begun, 11);
});

test("no probe is needed while exchanges of users are answered", () => {
  const { tunnel, probe } = probed();
  for (let now = 0; now <= 10_000; now += 250) {
    tunnel.answeredAt = now;
    probe.tick(now);
  }
  assert.equal(tunnel.begun, 0);
});

test("a tunnel through which nothing comes any more has failed in less than 5 s", () => {
  const { tunnel, probe, run } = probed();
  probe.tick(0);
  tunnel.answer();
  run(250, 4_000);
  assert.equal(probe.hasFailed, true);
  assert.equal(tunnel.begun, 2, "one probe is out, no more");
});

test("what comes on other lanes says that the tunnel is only slow", () => {
  const { tunnel, probe } = probed();
  for (let now = 0; now <= 60_000; now += 250) {
    tunnel.laneBytes += 1;
    probe.tick(now);
  }
  assert.equal(probe.hasFailed, false);
});

test("a late answer makes it well again", () => {
  const { tunnel, probe, run } = probed();
  run(0, 30_000);
  assert.equal(probe.hasFailed, true);
  tunnel.answer();
  assert.equal(probe.hasFailed, false);
  probe.tick(31_250);
  assert.equal(tunnel.begun, 2, "and it is probed again");
});

test("bytes alone do not make it well again: those of exchanges that were given up are no answer", () => {
  const { tunnel, probe, run } = probed();
  run(0, 10_000);
  assert.equal(probe.hasFailed, true);
  for (let now = 10_250; now <= 20_000; now += 250) {
    tunnel.laneBytes += 1;
    probe.tick(now);
  }
  assert.equal(probe.hasFailed, true);
  tunnel.answer();
  assert.equal(probe.hasFailed, false);
});

test("a tunnel that gives no lane for the probe has failed as well", () => {
  const { tunnel, probe, run } = probed();
  tunnel.hasLanes = false;
  run(0, 4_000);
  assert.equal(probe.hasFailed, true);
  tunnel.hasLanes = true;
  run(4_250, 4_250);
  tunnel.answer();
  assert.equal(probe.hasFailed, false);
});

test("a tunnel that is full of silent exchanges has no lane for a probe, and nothing is wrong with it", () => {
  const { tunnel, probe, run } = probed();
  tunnel.hasLanes = false;
  tunnel.isFull = true;
  run(0, 30_000);
  assert.equal(probe.hasFailed, false);
});

test("a probe whose lane is lost is sent on another", () => {
  const { tunnel, probe } = probed();
  probe.tick(0);
  tunnel.handler!.abort({ code: "tunnel_lost", begun: true });
  probe.tick(250);
  assert.equal(tunnel.begun, 2);
});
