import assert from "node:assert/strict";
import { test } from "node:test";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import type { Lookup } from "../../src/connector/backend/dial.ts";
import { probeBackend } from "../../src/connector/backend/probe.ts";
import type { ProbeStep } from "../../src/connector/backend/probe.ts";
import { backendApp } from "../support/backend_exchange.ts";
import type { AppTimeouts } from "../../src/protocol/app.ts";
import { rawBackend } from "../support/raw_backend.ts";

const lookup: Lookup = (_name, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]);
const steps = (found: ProbeStep[]) => found.map(({ step, failure }) => failure?.code ?? step);

test("a probe tells each step, and where it stops", async (t) => {
  const backend = await rawBackend(
    t,
    ({ socket }) => socket.end("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
  );
  const mute = await rawBackend(t, () => {});
  const run = async (origin: string, allow: string[] = [], timeouts: Partial<AppTimeouts> = {}) =>
    steps(await probeBackend(backendApp(origin, { timeouts }), { allow: new AllowList(allow), lookup }));
  assert.deepEqual(await run(`http://a.test:${backend.port}`), ["dns", "tcp", "http"]);
  assert.deepEqual(await run(`http://a.test:${mute.port}`, [], { responseHeadMs: 300 }), [
    "dns",
    "tcp",
    "backend_timeout",
  ]);
  assert.deepEqual(await run(`https://a.test:${mute.port}`, [], { connectMs: 300 }), [
    "dns",
    "tcp",
    "backend_connect_timeout",
  ]);
  assert.deepEqual(await run(`http://a.test:${backend.port}`, ["10.0.0.0/8"]), [
    "dns",
    "backend_not_allowed",
  ]);
  assert.deepEqual(await run("nonsense"), ["backend_misconfigured"]);
});

test("a probe says what it found", async (t) => {
  const backend = await rawBackend(
    t,
    ({ socket }) => socket.end("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
  );
  const options = { allow: new AllowList([]), lookup };
  const found = await probeBackend(backendApp(`http://a.test:${backend.port}`), options);
  assert.deepEqual(found.map((step) => step.found), ["127.0.0.1", "127.0.0.1", "status 404"]);
  assert.ok(found.every(({ ms }) => ms >= 0));
});
