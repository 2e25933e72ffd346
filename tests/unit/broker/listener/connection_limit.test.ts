import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { parseCidrList } from "../../../../src/broker/listener/address.ts";
import { ConnectionLimit } from "../../../../src/broker/listener/connection_limit.ts";
import { ControlFrames } from "../../../../src/broker/listener/control_frames.ts";

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  readonly remotePort = 1;
  reset = false;

  constructor(address: string) {
    super();
    this.remoteAddress = address;
  }

  resetAndDestroy(): void {
    this.reset = true;
  }
}

function limit(max: number, maxPerSource: number) {
  const causes: string[] = [];
  const exempt = parseCidrList(["10.0.0.0/8"]);
  const connections = new ConnectionLimit({
    max,
    maxPerSource,
    exempt,
    onEnded: (cause) => causes.push(cause),
  });
  const open = (address: string) => {
    const socket = new FakeSocket(address);
    const admitted = connections.admit(socket as unknown as Socket);
    assert.equal(socket.reset, !admitted);
    return { socket, admitted };
  };
  return { connections, causes, open };
}

test("ConnectionLimit: in all, until one closes", () => {
  const { connections, causes, open } = limit(2, 0);
  const first = open("192.0.2.1");
  open("192.0.2.2");
  assert.equal(open("192.0.2.3").admitted, false);
  assert.deepEqual(causes, ["too_many_connections"]);
  first.socket.emit("close");
  assert.equal(open("192.0.2.3").admitted, true);
  assert.equal(connections.open, 2);
});

test("ConnectionLimit: by source, a /64 of IPv6 being one, proxies none", () => {
  const { causes, open } = limit(100, 1);
  for (const one of ["192.0.2.1", "2001:db8:0:1::5", "2001:db8:0:2::5", "::1"]) {
    assert.equal(open(one).admitted, true, one);
  }
  for (const again of ["::ffff:192.0.2.1", "2001:db8:0:1:a:b:c:d", "2001:db8:0:2::6"]) {
    assert.equal(open(again).admitted, false, again);
  }
  assert.deepEqual(causes, Array(3).fill("too_many_of_source"));
  for (let i = 0; i < 5; i++) assert.equal(open("10.1.1.1").admitted, true);
});

test("ControlFrames: a thousand at once, then 33 a second", () => {
  const frames = new ControlFrames(0);
  for (let i = 0; i < 1_000; i++) assert.equal(frames.take(0), true);
  assert.equal(frames.take(0), false);
  const patient = new ControlFrames(0);
  for (let i = 0; i < 10_000; i++) assert.equal(patient.take(i * 31), true);
});
