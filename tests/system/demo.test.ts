import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { dirname } from "node:path";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Child } from "../../src/demo/child.ts";
import { sourceCommand } from "../../src/demo/runtime.ts";
import { publicCertificate } from "../support/public_certificate.ts";

interface Ready {
  publicUrl: string;
  adminUrl: string;
  adminToken: string;
  brokerPid: number;
  connectors: { id: string; pid: number; stateDir: string }[];
}

const READY_MS = 60_000;

async function startDemo(context: TestContext, ...args: string[]): Promise<{ demo: Child; ready: Ready }> {
  const { command, args: first } = sourceCommand("node", "demo/main.ts");
  const demo = await Child.start({ name: "demo", command, args: [...first, "--json", ...args] });
  context.after(() => demo.stop());
  return { demo, ready: await demo.ready(READY_MS) as Ready };
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Bounded: processes of ours that are asked to stop do so within seconds, or something is wrong. */
async function gone(pids: readonly number[]): Promise<boolean> {
  for (let tries = 0; tries < 200 && pids.some(lives); tries++) await pause(100);
  return !pids.some(lives);
}

const pidsOf = ({ brokerPid, connectors }: Ready) => [brokerPid, ...connectors.map(({ pid }) => pid)];

test("demo: an exchange gets through when its line appears; Ctrl-C ends all processes and removes the folder", async (context) => {
  const { demo, ready } = await startDemo(context, "--connectors", "2");
  assert.equal(ready.connectors.length, 2);
  assert.notEqual(ready.connectors[0].id, ready.connectors[1].id);

  const page = await fetch(ready.publicUrl);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /It works\./);

  const form = new URLSearchParams({ message: "<b>Grüße</b>" });
  const echo = await (await fetch(`${ready.publicUrl}echo`, { method: "POST", body: form })).text();
  assert.match(echo, /&lt;b&gt;Grüße&lt;\/b&gt;/);

  const headers = { authorization: `Bearer ${ready.adminToken}` };
  const connectors = await fetch(`${ready.adminUrl}/api/v1/connectors`, { headers });
  const { items } = await connectors.json() as { items: { id: string }[] };
  assert.deepEqual(items.map(({ id }) => id).sort(), ready.connectors.map(({ id }) => id).sort());

  demo.signal("SIGINT");
  assert.deepEqual(await demo.exited, { code: 0, signal: null });
  assert.ok(!pidsOf(ready).some(lives), "a process of the demo is left");
  assert.ok(!existsSync(dirname(ready.connectors[0].stateDir)), "the demo's folder is left");
  assert.deepEqual(demo.lastOutput.map((line) => JSON.parse(line)), [ready]);
});

test("demo: Ctrl-C does not wait for a response that never ends, such as the sample page's clock", async (context) => {
  const { demo, ready } = await startDemo(context);
  const clock = await fetch(`${ready.publicUrl}clock`);
  assert.equal(clock.status, 200);
  const began = performance.now();
  demo.signal("SIGINT");
  assert.deepEqual(await demo.exited, { code: 0, signal: null });
  // A program that does not stop by itself is killed after 10 s.
  assert.ok(performance.now() - began < 9_000, `took ${performance.now() - began} ms`);
  await assert.rejects(clock.text());
});

test("demo: publishes the application at a URL", async (context) => {
  const backend = createServer((request, response) =>
    response.end(`backend saw ${request.url} at ${request.headers.host}`)
  );
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  context.after(() => {
    backend.close();
    backend.closeAllConnections();
  });
  const { port } = backend.address() as { port: number };
  const { demo, ready } = await startDemo(context, `http://127.0.0.1:${port}`);
  assert.equal(
    await (await fetch(`${ready.publicUrl}some/page?q=1`)).text(),
    // An application that is reached by an address makes its links of the Host that it is given.
    `backend saw /some/page?q=1 at ${new URL(ready.publicUrl).host}`,
  );
  demo.signal("SIGTERM");
  assert.equal((await demo.exited).code, 0);
  assert.ok(!pidsOf(ready).some(lives), "a process of the demo is left");
});

test("demo: says so, stops the rest and exits 1 when a program dies", async (context) => {
  const { demo, ready } = await startDemo(context);
  process.kill(ready.brokerPid, "SIGKILL");
  assert.equal((await demo.exited).code, 1);
  assert.match(demo.lastLog.join("\n"), /broker ended unexpectedly: SIGKILL/);
  assert.ok(!pidsOf(ready).some(lives), "a process of the demo is left");
  assert.ok(!existsSync(dirname(ready.connectors[0].stateDir)), "the demo's folder is left");
});

test("demo: leaves no process behind even when it is killed itself", async (context) => {
  const { demo, ready } = await startDemo(context);
  context.after(() => rm(dirname(ready.connectors[0].stateDir), { recursive: true, force: true }));
  demo.signal("SIGKILL");
  await demo.exited;
  assert.ok(await gone(pidsOf(ready)), "a process of the demo is left");
});

test("demo: an application whose certificate nobody trusts is named with what to do, and shown when that is done", async (context) => {
  const { key, cert } = await publicCertificate("127.0.0.1");
  const backend = createTlsServer({ key, cert }, (_request, response) => response.end("over TLS"));
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  context.after(() => {
    backend.close();
    backend.closeAllConnections();
  });
  const url = `https://127.0.0.1:${(backend.address() as { port: number }).port}`;
  const { command, args } = sourceCommand("node", "demo/main.ts");
  const refused = await Child.start({ name: "demo", command, args: [...args, url] });
  context.after(() => refused.stop());
  assert.deepEqual(await refused.exited, { code: 1, signal: null });
  assert.match(refused.lastLog.join("\n"), /\(backend_tls\w*\): .*--insecure/);
  const { demo, ready } = await startDemo(context, "--insecure", url);
  assert.equal(await (await fetch(ready.publicUrl)).text(), "over TLS");
  demo.signal("SIGINT");
  assert.equal((await demo.exited).code, 0);
});

test("demo: refuses a command line it does not understand with exit 2", async (context) => {
  for (
    const args of [["--connectors", "0"], ["--host-header", "mine"], ["ftp://127.0.0.1/"], ["--unknown"]]
  ) {
    const { command, args: first } = sourceCommand("node", "demo/main.ts");
    const demo = await Child.start({ name: "demo", command, args: [...first, ...args] });
    context.after(() => demo.stop());
    assert.deepEqual(await demo.exited, { code: 2, signal: null });
  }
});
