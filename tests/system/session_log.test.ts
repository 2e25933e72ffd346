/** What broker and connector write of exchanges: when it is switched on, what is in it, and that nobody waits for its reader. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { adminClient } from "../../src/demo/admin_client.ts";
import { registerConnector } from "../../src/demo/processes.ts";
import { sourceCommand } from "../../src/demo/runtime.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { ingressStage } from "../support/ingress_stage.ts";
import { until } from "../support/until.ts";
import { Wire } from "../support/wire.ts";

const HOST = "log.example.test";

// deno-lint-ignore no-explicit-any -- lines of a log have many shapes
type Line = Record<string, any>;

const sessions = (log: readonly string[]): Line[] =>
  log.map((line) => JSON.parse(line) as Line).filter(({ kind }) => kind === "session");

test("the session log is off at first; switched on it has one line an exchange on both sides; off again none; no secrets in any log", async () => {
  await using stack = new AsyncDisposableStack();
  const stage = stack.use(await ingressStage());
  const backend = createServer((req, res) => {
    let bytes = 0;
    req.on("data", (chunk) => bytes += chunk.length);
    req.on(
      "end",
      () =>
        res.writeHead(req.url!.startsWith("/made") ? 201 : 200, { "set-cookie": "s=SECRET4" }).end(
          `got ${bytes}`,
        ),
    );
  }).listen(0, "127.0.0.1");
  await once(backend, "listening");
  stack.defer(() => {
    backend.closeAllConnections();
    backend.close();
  });
  const origin = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
  await stage.publish("Logged", `http://${HOST}/app`, `${origin}/`);
  await stage.publish("Refused", "http://refused.example.test", "http://127.0.0.1:1");
  const ask = async (target: string, body: string, host = HOST): Promise<number> => {
    const wire = await Wire.plain(stage.plainPort);
    wire.send(
      `POST ${target} HTTP/1.1\r\nHost: ${host}\r\nCookie: a=SECRET1\r\nAuthorization: Bearer SECRET2\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    const { status } = await wire.response();
    wire.close();
    return status;
  };
  assert.equal(await ask("/app/before?token=SECRET3", "x"), 200);
  await stage.broker.admin.request("PATCH", "settings", { sessionLog: true, logLevel: "debug" });
  // The notice to the connector is on its way: its first line shows that it is there.
  for (let tries = 0; sessions(stage.connectorLog).length === 0; tries++) {
    assert.ok(tries < 500, "connector's session log is not on");
    await ask("/app/warm?token=SECRET3", "x");
  }
  assert.equal(await ask("/app/made?token=SECRET3", "12345"), 201);
  assert.equal(await ask("/x?token=SECRET3", "", "refused.example.test"), 502);
  const find = (log: readonly string[], match: (line: Line) => boolean) => sessions(log).filter(match);
  const complete = () =>
    [stage.brokerLog, stage.connectorLog].every((log) =>
      find(log, ({ status }) => status === 201).length > 0
    ) &&
    [stage.brokerLog, stage.connectorLog].every((log) =>
      find(log, ({ error }) => error !== undefined).length > 0
    );
  await until("both logs are complete", complete);

  const [made, ...more] = find(stage.brokerLog, ({ status }) => status === 201);
  const [served, ...others] = find(stage.connectorLog, ({ status }) => status === 201);
  assert.deepEqual([more, others], [[], []]);
  const { time, requestId, headMs, totalMs, ...facts } = made!;
  assert.ok(!Number.isNaN(Date.parse(time)) && headMs >= 0 && totalMs >= headMs);
  assert.deepEqual(facts, {
    kind: "session",
    app: "Logged",
    connector: stage.connector.id,
    method: "POST",
    host: HOST,
    path: "/app/made",
    status: 201,
    bytesIn: 5,
    bytesOut: 5,
    clientIp: "127.0.0.1",
  });
  assert.equal(served!.requestId, requestId);
  assert.deepEqual(Object.keys(served!).sort(), Object.keys(made!).sort());
  assert.deepEqual(
    [
      served!.connector,
      served!.method,
      served!.path,
      served!.status,
      served!.bytesIn,
      served!.bytesOut,
      served!.clientIp,
    ],
    [stage.connector.id, "POST", "/made", 201, 5, 5, "127.0.0.1"],
  );
  const [failed] = find(stage.brokerLog, ({ error }) => error !== undefined);
  const [failedThere] = find(stage.connectorLog, ({ error }) => error !== undefined);
  assert.deepEqual([failed!.status, failed!.error, failedThere!.error], [
    502,
    "backend_refused",
    "backend_refused",
  ]);
  assert.equal(failed!.requestId, failedThere!.requestId);

  await stage.broker.admin.request("PATCH", "settings", { sessionLog: false });
  // The setting is read a moment after the call was answered.
  for (let i = 0; i < 20; i++) await ask("/app/down", "x");
  await ask("/app/after?token=SECRET3", "x");
  await stage.broker.admin.request("PATCH", "settings", { sessionLog: true });
  const last = () => find(stage.brokerLog, ({ path }) => path === "/app/last");
  for (let tries = 0; last().length === 0 && tries < 500; tries++) await ask("/app/last", "x");
  assert.ok(last().length > 0, "switched on again");
  assert.deepEqual(find(stage.brokerLog, ({ path }) => /before|after/.test(path)), []);
  const all = [...stage.brokerLog, ...stage.connectorLog].join("\n");
  assert.ok(all.includes("connector connected") || all.includes("ready"), "the admin log is there");
  assert.ok(!all.includes("SECRET"), "a secret is in a log");
  assert.ok(!all.includes(stage.broker.adminToken));
});

/** A program of ours whose log nobody reads; resolves with its first line. */
async function unread(
  program: "broker" | "connector",
  args: string[],
): Promise<{ child: ChildProcess; ready: Line }> {
  const runtime = program === "broker" ? "node" : connectorRuntime();
  const { command, args: first } = sourceCommand(runtime, `${program}/main.ts`);
  const child = spawn(command, [...first, "run", "--json", ...args], { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin!.on("error", () => {});
  const [line] = await once(createInterface({ input: child.stdout! }), "line");
  return { child, ready: JSON.parse(line) };
}

test("a log that nobody reads stalls no exchange: 10,000 requests complete, and the lines lost are counted", async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "sallyport-log-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const backend = createServer((_req, res) => res.end("ok")).listen(0, "127.0.0.1");
  await once(backend, "listening");
  stack.defer(() => {
    backend.closeAllConnections();
    backend.close();
  });
  const stopping = (child: ChildProcess) => async () => {
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await exited;
    clearTimeout(timer);
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream!.destroy();
  };

  const listen = [
    "--public-listen",
    "127.0.0.1:0",
    "--plain-listen",
    "127.0.0.1:0",
    "--admin-listen",
    "127.0.0.1:0",
  ];
  const broker = await unread("broker", [
    "--data-dir",
    join(folder, "broker"),
    "--session-log",
    "--drain-ms",
    "0",
    ...listen,
  ]);
  stack.defer(stopping(broker.child));
  const admin = adminClient(
    broker.ready.adminUrl,
    (await readFile(broker.ready.adminTokenFile, "utf8")).trim(),
  );
  await admin.publish({
    name: "unread",
    externalUrl: "http://127.0.0.1",
    internalUrl: `http://127.0.0.1:${(backend.address() as AddressInfo).port}`,
  });
  const stateDir = join(folder, "connector");
  await registerConnector({ stateDir, token: await admin.enrolmentToken(), runtime: "node" });
  const connector = await unread("connector", ["--state-dir", stateDir, "--session-log", "--drain-ms", "0"]);
  stack.defer(stopping(connector.child));
  await admin.request("PATCH", "settings", { sessionLog: true });

  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  stack.defer(() => agent.destroy());
  const path = `/${"long".repeat(150)}`;
  let left = 10_000;
  const user = async () => {
    while (left-- > 0) {
      const asked = request({ host: "127.0.0.1", port: broker.ready.listeners.plain.port, path, agent })
        .end();
      const [response] = await once(asked, "response") as [IncomingMessage];
      response.resume();
      await once(response, "end");
      assert.equal(response.statusCode, 200);
    }
  };
  await Promise.all(Array.from({ length: 32 }, user));

  const metrics = await (await fetch(`${broker.ready.adminUrl}/metrics`)).text();
  const lost = Number(/^sallyport_log_lines_lost_total (\d+)$/m.exec(metrics)?.[1]);
  assert.ok(lost > 0, `lines lost: ${lost}`);
});
