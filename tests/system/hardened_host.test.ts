import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AllowList } from "../../src/connector/backend/allow_list.ts";
import type { Lookup } from "../../src/connector/backend/dial.ts";
import { probeBackend } from "../../src/connector/backend/probe.ts";
import { addConnector, type BrokerProcess, startBroker, startConnector } from "../../src/demo/processes.ts";
import { sourceCommand } from "../../src/demo/runtime.ts";
import { backendApp } from "../support/backend_exchange.ts";
import { connectorCli } from "../support/connector_cli.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { needsProgram } from "../support/debian.ts";
import { rawBackend } from "../support/raw_backend.ts";

/** Debian's "nobody" and "nogroup". */
const NOBODY = 65_534;

/** Deno has no FIPS mode, and tells a program that ends by itself upon a signal as killed by it. */
const ON_DENO = "Deno" in globalThis && "the programs run on Node there, too";

let folder: string;
let broker: BrokerProcess;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-hardened-"));
  broker = await startBroker({ dataDir: join(folder, "broker"), args: ["--drain-ms", "0"] });
});

after(async () => {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

test("DNS rebinding: the address that was checked is the one connected to, and each connection is checked anew", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.end("HTTP/1.1 204 No\r\n\r\n"));
  let asked = 0;
  const lookup: Lookup = (_name, _options, callback) => {
    asked += 1;
    callback(null, [{ address: asked === 1 ? "127.0.0.1" : "169.254.169.254", family: 4 }]);
  };
  for (const allow of [[], ["*"], ["rebind.test"], ["*.test", "127.0.0.0/8"]]) {
    asked = 0;
    const app = backendApp(`http://rebind.test:${backend.port}`);
    const steps = await probeBackend(app, { allow: new AllowList(allow), lookup });
    // The first connection asked once, and went to what it was told then; the second one is refused.
    assert.deepEqual(steps.map(({ step, found, failure }) => failure?.code ?? `${step} ${found}`), [
      "dns 127.0.0.1",
      "tcp 127.0.0.1",
      "backend_not_allowed",
    ]);
    assert.equal(asked, 2);
  }
});

test("two enrolments on one host: each with its folder, both at once; a folder serves one process", async () => {
  const options = { runtime: connectorRuntime() };
  const [one, two] = await Promise.all([
    addConnector(broker, folder, "one", options),
    addConnector(broker, folder, "two", options),
  ]);
  try {
    assert.notEqual(one.id, two.id);
    for (const { id, stateDir } of [one, two]) {
      const { stdout } = await connectorCli(["status", "--state-dir", stateDir, "--json"]);
      const status = JSON.parse(stdout);
      assert.deepEqual([status.id, status.tunnels[0].state], [id, "connected"]);
    }
    const again = await connectorCli(["run", "--state-dir", one.stateDir, "--json"]);
    assert.deepEqual([again.code, again.error], [1, "state_in_use"]);
  } finally {
    await Promise.all([one.stop(), two.stop()]);
  }
});

test(
  "an unprivileged user without a home, a temporary folder or capabilities: registers, runs, writes its state folder alone",
  {
    skip: ON_DENO ||
      (process.platform === "linux" && process.getuid?.() === 0
        ? false
        : "needs root, to become another user"),
  },
  async (t) => {
    const setpriv = needsProgram(t, "setpriv", "util-linux");
    if (setpriv === null) return;
    await chmod(folder, 0o755);
    const stateDir = join(folder, "nobody");
    await mkdir(stateDir, { mode: 0o700 });
    await chown(stateDir, NOBODY, NOBODY);
    const { command, args } = sourceCommand("node", "connector/main.ts");
    const drop = [
      ...[`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--no-new-privs"],
      ...["--bounding-set=-all", "--inh-caps=-all"],
    ];
    const start = (name: string, env: Record<string, string> = {}) => {
      const child = spawn(setpriv, [...drop, command, ...args, name, "--state-dir", stateDir, "--json"], {
        stdio: ["pipe", "pipe", "pipe"],
        cwd: "/",
        env: { PATH: process.env.PATH, HOME: "/nonexistent", TMPDIR: "/nonexistent", ...env },
      });
      t.after(() => void child.kill("SIGKILL"));
      let text = "";
      child.stderr.on("data", (chunk) => text += chunk);
      return { child, errors: () => text };
    };
    const registering = start("register", { SALLYPORT_TOKEN: await broker.admin.enrolmentToken() });
    assert.deepEqual([(await once(registering.child, "close"))[0], registering.errors()], [0, ""]);
    const running = start("run");
    const [line] = await once(running.child.stdout, "data");
    assert.equal(JSON.parse(String(line)).ready, true, running.errors());
    const checking = start("doctor");
    const [code] = await once(checking.child, "close");
    assert.equal(code, 0, checking.errors());
    running.child.kill("SIGTERM");
    assert.equal((await once(running.child, "close"))[0], 0, running.errors());
    assert.deepEqual((await readdir(stateDir)).sort(), [
      "broker.json",
      "ca.pem",
      "certificate.pem",
      "key.pem",
    ]);
  },
);

test("--fips without a FIPS provider: register, run and doctor end with 2 and change nothing", async () => {
  const stateDir = join(folder, "no-fips");
  const token = await broker.admin.enrolmentToken();
  for (const name of ["register", "run", "doctor"]) {
    const env = { SALLYPORT_TOKEN: token };
    const outcome = await connectorCli([name, "--fips", "--state-dir", stateDir, "--json"], { env });
    assert.deepEqual([name, outcome.code, outcome.error], [name, 2, "fips_unproven"], outcome.stderr);
  }
  assert.deepEqual((await readdir(folder)).filter((name) => name === "no-fips"), []);
});

test("--fips with OpenSSL's FIPS provider: registers, connects, doctor says that it is proven", {
  skip: ON_DENO,
}, async (t) => {
  const provider = process.env.SALLYPORT_TEST_FIPS_DIR ?? "";
  if (provider === "") {
    t.diagnostic(
      "NOT TESTED: no FIPS provider; build one with tests/support/fips_provider.sh and name its folder in SALLYPORT_TEST_FIPS_DIR",
    );
    return;
  }
  const env = { OPENSSL_CONF: join(provider, "openssl.cnf"), OPENSSL_MODULES: provider };
  for (const keyType of ["p256", "p384", "rsa3072"]) {
    const stateDir = join(folder, `fips-${keyType}`);
    const token = await broker.admin.enrolmentToken();
    const registered = await connectorCli(
      ["register", "--fips", "--key-type", keyType, "--state-dir", stateDir, "--json"],
      { env: { ...env, SALLYPORT_TOKEN: token } },
    );
    assert.equal(registered.code, 0, registered.stderr);
    const connector = await startConnector({ stateDir, runtime: "node", args: ["--fips"], env });
    try {
      const { code, stdout } = await connectorCli(["doctor", "--fips", "--state-dir", stateDir, "--json"], {
        env,
      });
      assert.equal(code, 0, stdout);
      const [fips] = JSON.parse(stdout).checks;
      assert.deepEqual([fips.name, fips.found], ["FIPS", "proven"]);
    } finally {
      await connector.stop();
    }
  }
});
