import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type BrokerProcess, startBroker, startConnector } from "../../src/demo/processes.ts";
import { dialTunnel } from "../../src/connector/dial.ts";
import { proxyFor } from "../../src/connector/outbound/proxy.ts";
import { Secret } from "../../src/platform/secret.ts";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import type { Lookup } from "../../src/connector/backend/dial.ts";
import { probeBackend } from "../../src/connector/backend/probe.ts";
import { backendApp } from "../support/backend_exchange.ts";
import { connectProxy, ownCertificate } from "../support/connect_proxy.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { needsProgram } from "../support/debian.ts";
import { expiredConnector } from "../support/expired_connector.ts";
import { rawBackend } from "../support/raw_backend.ts";
import { type Squid, SQUID_USER, startSquid } from "../support/squid.ts";
import { tunnelIdentity } from "../support/tunnel_identity.ts";
import { until } from "../support/until.ts";

const NEVER = new AbortController().signal;

let folder: string;
let broker: BrokerProcess;
let count = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-proxy-"));
  const dataDir = join(folder, "broker");
  broker = await startBroker({ dataDir, args: ["--drain-ms", "0"] });
});

after(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

const newFolder = () => join(folder, `one-${count++}`);

/** Registers with a token, and these arguments. */
async function register(args: string[], env: Record<string, string> = {}, stateDir = newFolder()) {
  const token = await broker.admin.enrolmentToken();
  const all = ["register", "--state-dir", stateDir, "--token-file", "-", "--json", ...args];
  return { ...await connectorCli(all, { input: token, env }), stateDir };
}

/** A file with an answer file's lines. */
async function answers(lines: Record<string, string>): Promise<string> {
  const file = `${newFolder()}.yaml`;
  await writeFile(
    file,
    Object.entries(lines).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`).join(""),
  );
  return file;
}

/**
 * How many connections to this port squid has carried. It logs each as it ends, when it comes to that: once it has logged
 * one that was begun later, to port 1 of the loopback where nobody listens, it has seen those end that had ended before.
 */
async function carried({ port: proxy, log }: Squid, port: number): Promise<number> {
  const count = async (to: number) =>
    (await log()).split("\n").filter((line) => line.includes(` CONNECT 127.0.0.1:${to} `)).length;
  const before = await count(1);
  const socket = connect({ host: "127.0.0.1", port: proxy });
  socket.on("error", () => {});
  socket.write("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n");
  socket.resume();
  await until("squid has logged it", async () => await count(1) > before);
  socket.destroy();
  return await count(port);
}

test("squid: registration and tunnel go through it, by the setting or by HTTPS_PROXY, unless NO_PROXY or `none`", async (t) => {
  const program = needsProgram(t, "squid", "squid");
  if (program === null) return;
  await using squid = await startSquid(program);
  const { port } = broker.listeners.public;
  const url = `http://127.0.0.1:${squid.port}`;
  const set = await register(["--proxy", url]);
  assert.equal(set.code, 0, set.stderr);
  const used = await carried(squid, port);
  assert.ok(used >= 2, "root, hello and answer came through squid");
  const variable = await register([], { https_proxy: url });
  assert.equal(variable.code, 0, variable.stderr);
  const more = await carried(squid, port);
  assert.ok(more > used);
  for (
    const [args, env] of [
      [["--proxy", "none"], { HTTPS_PROXY: url }],
      [["--proxy", "direct"], { HTTPS_PROXY: url }],
      [[], { HTTPS_PROXY: url, NO_PROXY: "127.0.0.0/8" }],
      [[], { HTTPS_PROXY: url, no_proxy: "localhost,127.0.0.1" }],
    ] as const
  ) {
    const straight = await register([...args], { ...env });
    assert.equal(straight.code, 0, straight.stderr);
  }
  assert.equal(await carried(squid, port), more, "those went straight");

  const { stateDir } = set;
  const options = { stateDir, runtime: connectorRuntime(), args: ["--proxy", url] };
  const connector = await startConnector(options);
  try {
    const backend = await rawBackend(
      t,
      ({ socket }) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthru"),
    );
    const internalUrl = `http://127.0.0.1:${backend.port}/`;
    await broker.admin.publish({ name: "p", externalUrl: broker.plainUrl, internalUrl });
    const response = await fetch(broker.plainUrl);
    assert.deepEqual([response.status, await response.text()], [200, "thru"]);
    const status = await connectorCli(["status", "--state-dir", stateDir, "--json"]);
    assert.equal(JSON.parse(status.stdout).tunnels[0].state, "connected");
  } finally {
    await connector.stop();
  }
  assert.equal(await carried(squid, port), more + 1, "the tunnel came through squid");
});

test("squid: Basic authentication, credentials from a file or the environment; missing and wrong ones are named", async (t) => {
  const program = needsProgram(t, "squid", "squid");
  if (program === null) return;
  await using squid = await startSquid(program, { auth: true });
  const url = `http://127.0.0.1:${squid.port}`;
  const { name, password } = SQUID_USER;
  const file = newFolder();
  await writeFile(file, `${name}:${password}\n`, { mode: 0o600 });

  const none = await register(["--proxy", url]);
  assert.deepEqual([none.code, none.error, none.details.status], [1, "proxy_auth_required", 407]);
  assert.equal(none.details.schemes, "Basic");
  const wrong = await register(["--proxy", url], { SALLYPORT_PROXY_CREDENTIALS: `${name}:wrong-one` });
  assert.deepEqual([wrong.code, wrong.error], [1, "proxy_auth_required"]);
  assert.doesNotMatch(wrong.stdout + wrong.stderr, /wrong-one/);
  const ofFile = await register(["--proxy", url], { SALLYPORT_PROXY_CREDENTIALS_FILE: file });
  assert.equal(ofFile.code, 0, ofFile.stderr);
  const byFlag = await register(["--proxy", url, "--proxy-credentials-file", file]);
  assert.equal(byFlag.code, 0, byFlag.stderr);
  const ofVariable = await register(["--proxy", url], { SALLYPORT_PROXY_CREDENTIALS: `${name}:${password}` });
  assert.equal(ofVariable.code, 0, ofVariable.stderr);
  const encoded = encodeURIComponent(password);
  const ofUrl = await register([], { HTTPS_PROXY: `http://${name}:${encoded}@127.0.0.1:${squid.port}` });
  assert.equal(ofUrl.code, 0, ofUrl.stderr);
  const inArguments = await register(["--proxy", `http://${name}:${encoded}@127.0.0.1:${squid.port}`]);
  assert.deepEqual([inArguments.code, inArguments.error], [2, "configuration_value_invalid"]);
  assert.doesNotMatch(inArguments.stderr, new RegExp(encoded));
  await until("squid has logged the account", async () => (await squid.log()).includes(` ${name} `));

  const lines: string[] = [];
  const { stateDir } = ofFile;
  const connector = await startConnector({
    stateDir,
    runtime: connectorRuntime(),
    args: ["--proxy", url, "--proxy-credentials-file", file, "--log-level", "debug"],
    onLog: (line) => lines.push(line),
  });
  await connector.stop();
  assert.ok(lines.length > 0 && !lines.join("\n").includes("p:ss"));
});

test("squid: a connection that it denies, and one that it cannot make, are told apart", async (t) => {
  const program = needsProgram(t, "squid", "squid");
  if (program === null) return;
  await using squid = await startSquid(program, { deny: broker.listeners.public.port });
  const url = `http://127.0.0.1:${squid.port}`;
  const denied = await register(["--proxy", url]);
  assert.deepEqual(
    [denied.code, denied.error, denied.details.status],
    [1, "proxy_refused", 403],
    denied.stderr,
  );
  const through = proxyFor(settings(url), {});
  await using identity = await tunnelIdentity();
  // Port 1 of the loopback: nothing listens there.
  await assert.rejects(dialTunnel({ ...identity.target(1), proxyFor: through }, 10_000, NEVER), {
    code: "proxy_target_unreachable",
  });
});

test("squid: a connector that was off when its certificate expired comes back through it", async (t) => {
  const program = needsProgram(t, "squid", "squid");
  if (program === null) return;
  await using squid = await startSquid(program);
  const dataDir = newFolder();
  const expired = await expiredConnector(dataDir, 5);
  const old = await startBroker({ dataDir, args: ["--drain-ms", "0"] });
  try {
    const stateDir = newFolder();
    await expired.save(stateDir, old.listeners.public.port);
    const args = ["--proxy", `http://127.0.0.1:${squid.port}`];
    const connector = await startConnector({ stateDir, runtime: connectorRuntime(), args });
    await connector.stop();
    // Nonce, answer, proof of the new certificate, tunnel.
    assert.ok(await carried(squid, old.listeners.public.port) >= 4);
  } finally {
    await old.stop();
  }
});

function settings(url: string, caFile = "") {
  return { url, setting: "test", credentialsFile: "", credentials: new Secret(""), caFile };
}

test("proxy: each failure has its code, within its time, and reads no more than it must", async () => {
  await using identity = await tunnelIdentity();
  const dial = (url: string, stepMs = 30_000) =>
    dialTunnel({ ...identity.target(443), proxyFor: proxyFor(settings(url), {}) }, stepMs, NEVER);
  await assert.rejects(dial("http://127.0.0.1:1"), { code: "proxy_unreachable", retryable: true });
  await assert.rejects(dial(`http://${"a".repeat(70)}.invalid:1`), {
    code: "proxy_unresolvable",
    retryable: true,
  });
  for (
    const [answer, code] of [
      [null, "proxy_timeout"],
      ["SSH-2.0-OpenSSH_9\r\n\r\n", "proxy_answer_invalid"],
      [`HTTP/1.1 200 OK\r\nX: ${"x".repeat(40_000)}`, "proxy_answer_invalid"],
      ["HTTP/1.1 200 OK\r\n\r\nearly", "proxy_answer_invalid"],
      ["HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "proxy_refused"],
      ["HTTP/1.1 504 Gateway Timeout\r\n\r\n", "proxy_target_unreachable"],
      ["HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\n\r\n", "proxy_auth_required"],
    ] as const
  ) {
    await using proxy = await connectProxy({ answer });
    const stepMs = answer === null ? 1_000 : 30_000;
    await assert.rejects(
      dial(`http://127.0.0.1:${proxy.port}`, stepMs),
      { code },
      String(answer).slice(0, 30),
    );
    assert.deepEqual(proxy.asked, ["127.0.0.1:443"]);
  }
});

test("proxy over TLS: used with its own authority, refused without", async () => {
  const tls = await ownCertificate("localhost");
  await using proxy = await connectProxy({ tls });
  const url = `https://localhost:${proxy.port}`;
  const file = newFolder();
  await writeFile(file, tls.cert);
  const plain = await register(["--proxy", url]);
  assert.deepEqual([plain.code, plain.error], [1, "proxy_untrusted"], plain.stderr);
  assert.deepEqual(proxy.asked, []);
  const other = await ownCertificate("other.example");
  const wrong = newFolder();
  await writeFile(wrong, other.cert);
  const foreign = await register(["--proxy", url, "--proxy-ca-file", wrong]);
  assert.deepEqual([foreign.code, foreign.error], [1, "proxy_untrusted"], foreign.stderr);
  const right = await register(["--answer-file", await answers({ proxy: url, proxyCaFile: file })]);
  assert.equal(right.code, 0, right.stderr);
  assert.ok(proxy.asked.length >= 2);
  const { stateDir } = right;
  const args = ["--proxy", url, "--proxy-ca-file", file];
  // A Deno process dies of HTTP/2 over TLS within TLS (SIGSEGV).
  const connector = await startConnector({ stateDir, runtime: "node", args });
  await connector.stop();
  const inTheClear = await register(["--proxy", `http://localhost:${proxy.port}`]);
  assert.deepEqual([inTheClear.code, inTheClear.error], [1, "proxy_lost"], inTheClear.stderr);
});

test("proxy that intercepts TLS: detected at registration and by the tunnel, its authority named", async () => {
  const intercept = await ownCertificate("Corp Inspection CA", "localhost");
  await using proxy = await connectProxy({ intercept });
  const url = `http://127.0.0.1:${proxy.port}`;
  const outcome = await register(["--proxy", url]);
  assert.deepEqual([outcome.code, outcome.error], [1, "tls_intercepted"], outcome.stderr);
  assert.match(String(outcome.details.issuer), /Corp Inspection CA/);
  await using identity = await tunnelIdentity();
  const target = { ...identity.target(443), proxyFor: proxyFor(settings(url), {}) };
  await assert.rejects(
    dialTunnel(target, 10_000, NEVER),
    (error: { code: string; details: { issuer: string } }) => {
      assert.equal(error.code, "tls_intercepted");
      assert.match(error.details.issuer, /Corp Inspection CA/);
      return true;
    },
  );
});

test("proxy to backends: is told the address that was checked, and nothing of what is refused", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.end("HTTP/1.1 204 No\r\n\r\n"));
  await using proxy = await connectProxy();
  const through = proxyFor(settings(`http://127.0.0.1:${proxy.port}`), {});
  let address = "127.0.0.1";
  const lookup: Lookup = (_name, _options, callback) => callback(null, [{ address, family: 4 }]);
  const app = backendApp(`http://a.test:${backend.port}`);
  const probe = async () =>
    (await probeBackend(app, { allow: new AllowList([]), lookup, proxyFor: through }))
      .map(({ step, failure }) => failure?.code ?? step);
  assert.deepEqual(await probe(), ["dns", "tcp", "http"]);
  assert.deepEqual(proxy.asked, [`127.0.0.1:${backend.port}`, `127.0.0.1:${backend.port}`]);
  address = "169.254.169.254";
  assert.deepEqual(await probe(), ["dns", "backend_not_allowed"]);
  assert.equal(proxy.asked.length, 2);
  await using refusing = await connectProxy({ answer: "HTTP/1.1 403 Forbidden\r\n\r\n" });
  address = "127.0.0.1";
  const refused = await probeBackend(app, {
    allow: new AllowList([]),
    lookup,
    proxyFor: proxyFor(settings(`http://127.0.0.1:${refusing.port}`), {}),
  });
  assert.equal(refused.at(-1)?.failure?.code, "backend_connect_failed");
});
