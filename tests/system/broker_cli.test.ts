import assert from "node:assert/strict";
import { chown, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createAdminApp } from "../../src/broker/admin/app.ts";
import { ensureFirstAdminToken } from "../../src/broker/admin/first_token.ts";
import { type AdminServer, serveAdmin } from "../../src/broker/admin/serve.ts";
import { type Ca, openCa } from "../../src/broker/ca/ca.ts";
import { dataFolder } from "../../src/broker/data_folder.ts";
import { enrolmentSecretSha256 } from "../../src/broker/enrol/secret.ts";
import { DataPlaneCounters } from "../../src/broker/metrics/counters.ts";
import { createMetrics } from "../../src/broker/metrics/prometheus.ts";
import type { Store } from "../../src/broker/store/port.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { startBroker } from "../../src/demo/processes.ts";
import { silentLog } from "../../src/platform/log.ts";
import { parseEnrolmentToken } from "../../src/protocol/enrolment.ts";
import { LiveTable, TOKEN_FACTS } from "../support/admin_fixture.ts";
import { brokerCli, type CliOutcome } from "../support/broker_cli.ts";
import { ownPort } from "../support/own_port.ts";
import { newConnector } from "../support/store_fixture.ts";

let folder: string;
let store: Store & AsyncDisposable;
let ca: Ca;
let server: AdminServer;
const live = new LiveTable();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-cli-"));
  store = await openStore({ path: dataFolder(folder).store });
  ca = await openCa(folder, { names: ["tunnel.example.com"], log: silentLog });
  await ensureFirstAdminToken(store, dataFolder(folder).adminToken, silentLog);
  const metrics = createMetrics({ counters: new DataPlaneCounters(), processMetrics: false });
  const app = createAdminApp({ store, live, metrics, tokenFacts: TOKEN_FACTS, clock: Date, log: silentLog });
  server = await serveAdmin(app, { host: "127.0.0.1", port: 0 });
});

after(async () => {
  await server.close();
  await ca[Symbol.asyncDispose]();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

/** A command against the listener, with the token from the data folder. */
const cli = (...args: string[]): Promise<CliOutcome> =>
  brokerCli([...args, "--data-dir", folder], { SALLYPORT_ADMIN_URL: server.url });

/** The same with `--json`, which must succeed. */
async function json(...args: string[]) {
  const outcome = await cli(...args, "--json");
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome.json;
}

/** A refusal: exit code and code of the error. */
async function refused(exitCode: number, code: string, ...args: string[]): Promise<void> {
  const outcome = await cli(...args, "--json");
  assert.deepEqual(
    [outcome.code, outcome.json?.error?.code, outcome.stdout],
    [exitCode, code, ""],
    outcome.stderr,
  );
}

test("broker CLI: groups and apps, by id or name, as tables and as JSON", async () => {
  const group = await json("group", "create", "Berlin");
  const ca = join(folder, "backend.pem");
  await writeFile(ca, (await readFile(join(folder, "ca", "root.pem"))).toString());
  const app = await json(
    ...["app", "create", "--name", "Wiki", "--group", "Berlin", "--internal-url", "https://10.0.0.5/wiki"],
    ...["--external-url", "https://wiki.example.com", "--external-url", "https://w.example.com/x/"],
    ...[
      "--idle-timeout-ms",
      "0",
      "--backend-ca",
      ca,
      "--backend-name",
      "wiki.internal",
      "--host-header",
      "user",
    ],
  );
  assert.equal(app.groupId, group.id);
  assert.deepEqual(app.externalUrls, ["https://wiki.example.com/", "https://w.example.com/x"]);
  assert.equal(app.timeouts.idleMs, 0);
  assert.equal(app.backendTls.serverName, "wiki.internal");
  const changed = await json("app", "set", "Wiki", "--backend-ca", "-", "--no-validate", "--disable");
  assert.deepEqual(changed.backendTls, {
    validate: false,
    serverName: "wiki.internal",
    minVersion: "TLSv1.2",
  });
  assert.deepEqual([changed.enabled, changed.hostHeader], [false, "user"]);
  assert.deepEqual(await json("app", "show", app.id), changed);

  const listed = await cli("app", "list", "--group", "Berlin");
  const [head, row, ...rest] = listed.stdout.trimEnd().split("\n");
  assert.match(head!, /^ID +NAME +GROUP +EXTERNAL URL +INTERNAL URL +ENABLED$/);
  assert.equal(row!.indexOf("Wiki"), head!.indexOf("NAME"));
  assert.equal(row!.indexOf("Berlin"), head!.indexOf("GROUP"));
  assert.deepEqual(rest, []);

  await refused(1, "group_not_empty", "group", "delete", "Berlin");
  await json("group", "rename", "Berlin", "Potsdam");
  assert.deepEqual(await json("app", "delete", "Wiki"), { deleted: app.id });
  assert.deepEqual(await json("group", "delete", "Potsdam"), { deleted: group.id });
  await refused(1, "reference_unknown", "group", "delete", "Potsdam");
});

test("broker CLI: every setting of an app has its flag, is shown, and can be taken back", async () => {
  const made = await json(
    ...["app", "create", "--name", "Shop", "--external-url", "https://shop.example.com"],
    ...["--internal-url", "https://10.0.0.7", "--total-timeout-ms", "60000"],
    ...["--upgraded-idle-timeout-ms", "0", "--backend-tls-min", "TLSv1.3"],
    ...["--backend-client-certificate", "shop", "--backend-protocol", "h2"],
    ...["--max-request-bytes", "1048576", "--max-concurrent", "5", "--max-queued", "7"],
    ...["--request-header", "set X-Team: blue: 1", "--request-header", "remove X-Old"],
    ...["--response-header", "add X-Frame-Options: DENY", "--maintenance", "Back <soon>"],
    ...["--maintenance-retry-s", "60", "--compression", "on", "--translate-headers", "off"],
    ...["--translate-request-headers", "on"],
    ...["--translate-links", "on", "--cookie-secure", "on", "--cookie-http-only", "on"],
    ...["--cookie-same-site", "lax", "--forwarded-header", "off", "--balancing", "latency"],
    ...["--affinity", "cookie", "--health-check", "/up", "--health-interval-ms", "2000"],
    ...["--health-timeout-ms", "1000", "--healthy-after", "1", "--unhealthy-after", "4"],
  );
  assert.deepEqual([made.timeouts.totalMs, made.timeouts.upgradedIdleMs], [60_000, 0]);
  assert.deepEqual(made.backendTls, { validate: true, minVersion: "TLSv1.3", clientCertificate: "shop" });
  assert.deepEqual([made.backendProtocol, made.maxRequestBytes], ["h2", 1_048_576]);
  assert.deepEqual([made.maxConcurrent, made.maxQueued], [5, 7]);
  assert.deepEqual(made.requestHeaders, [
    { action: "set", name: "X-Team", value: "blue: 1" },
    { action: "remove", name: "X-Old" },
  ]);
  assert.deepEqual(made.responseHeaders, [{ action: "add", name: "X-Frame-Options", value: "DENY" }]);
  assert.deepEqual(made.maintenance, { message: "Back <soon>", retryAfterS: 60 });
  assert.deepEqual([made.compression, made.translateHeaders, made.translateLinks], [true, false, true]);
  assert.equal(made.translateRequestHeaders, true);
  assert.deepEqual(made.cookies, { secure: true, httpOnly: true, sameSite: "lax" });
  assert.deepEqual([made.forwardedHeader, made.balancing, made.affinity], [false, "latency", "cookie"]);
  const check = {
    ...{ type: "http", path: "/up", intervalMs: 2_000, timeoutMs: 1_000 },
    ...{ healthyAfter: 1, unhealthyAfter: 4 },
  };
  assert.deepEqual(made.healthCheck, check);
  const shown = (await cli("app", "show", "Shop")).stdout;
  for (const text of ["60000 ms", "set X-Team: blue: 1", "remove X-Old", "Back <soon>", "GET /up", "shop"]) {
    assert.ok(shown.includes(text), text);
  }
  const changed = await json(
    ...["app", "set", "Shop", "--maintenance", "-", "--health-check", "tcp", "--request-header", "-"],
    ...["--backend-client-certificate", "-", "--cookie-same-site", "keep"],
  );
  assert.equal(changed.maintenance, null);
  assert.deepEqual(changed.healthCheck, { ...check, type: "tcp" });
  assert.deepEqual(changed.requestHeaders, []);
  assert.equal(changed.backendTls.clientCertificate, undefined);
  assert.deepEqual(changed.cookies, { secure: true, httpOnly: true, sameSite: "keep" });
  await refused(2, "usage_invalid", "app", "set", "Shop", "--request-header", "X-Team: blue");
  await refused(2, "usage_invalid", "app", "set", "Shop", "--compression", "yes");
  await refused(2, "invalid_request", "app", "set", "Shop", "--backend-protocol", "h2c");
  await json("app", "delete", "Shop");
});

test("broker CLI: who publishes with the backend's own Host is told what that means", async () => {
  const create = (name: string, ...more: string[]) =>
    cli(
      ...["app", "create", "--name", name, "--external-url", `https://${name}.example.com`],
      ...["--internal-url", "http://10.0.0.5", ...more],
    );
  assert.match((await create("a")).stdout, /--host-header user/);
  assert.match((await create("b", "--translate-headers", "off")).stdout, /--translate-headers on/);
  assert.doesNotMatch((await create("c", "--host-header", "user")).stdout, /--host-header/);
});

test("broker CLI: a token enrols a connector, which is then shown, moved, disabled, enabled, deleted", async () => {
  const made = await json("token", "create", "--uses", "2", "--ttl", "30m", "--description", "dmz");
  // Both moments are taken while the call runs, one after the other.
  const lifetimeMs = Date.parse(made.expiresAt) - Date.parse(made.createdAt);
  assert.ok(Math.abs(lifetimeMs - 1_800_000) < 60_000, `${lifetimeMs} ms`);
  const { secret } = parseEnrolmentToken(made.token);
  const sha256 = enrolmentSecretSha256(secret);
  const connector = await store.enrolConnector(
    sha256,
    { ...newConnector("c"), machineName: "dmz-1" },
    Date.now(),
  );
  const twin = await store.enrolConnector(sha256, { ...newConnector("d"), machineName: "dmz-1" }, Date.now());
  await refused(1, "reference_ambiguous", "connector", "show", "dmz-1");
  assert.deepEqual(await json("connector", "delete", twin.id), { deleted: twin.id });

  const group = await json("group", "create", "DMZ");
  const moved = await json("connector", "move", "dmz-1", "--group", "DMZ");
  assert.deepEqual(moved.memberOf, { id: group.id, name: "DMZ" });
  assert.equal((await json("connector", "disable", "dmz-1")).status, "disabled");
  assert.equal((await json("connector", "enable", "dmz-1")).status, "pending");
  const shown = await cli("connector", "show", "dmz-1");
  assert.match(shown.stdout, /^machine +dmz-1$/m);
  assert.equal((await json("connector", "list")).length, 1);
  await json("connector", "delete", connector.id);
  await json("group", "delete", "DMZ");

  const text = await cli("token", "create");
  // The token alone, for a file or a pipe.
  assert.match(text.stdout, /^spt1_\S+\n$/);
  assert.equal(parseEnrolmentToken(text.stdout.trim()).brokerAddress, TOKEN_FACTS.brokerAddress);
  assert.match(text.stderr, /sallyport-connector register/);
  const longer = ["--ttl", "7d", "--uses", "5", "--machine-name", "dmz-2", "--network", "10.0.0.0/8"];
  const changed = await json("token", "set", made.id, ...longer);
  assert.deepEqual([changed.maxUses, changed.uses, changed.description], [5, 2, "dmz"]);
  assert.deepEqual([changed.machineName, changed.networks], ["dmz-2", ["10.0.0.0/8"]]);
  assert.ok(Date.parse(changed.expiresAt) > Date.parse(made.expiresAt));
  const table = await cli("token", "set", made.id, "--machine-name", "-", "--network", "-");
  assert.match(
    table.stdout,
    new RegExp(`^Changed enrolment token ${made.id}\\.\nID +STATUS .*\n${made.id} +live `),
  );
  const { machineName, networks, maxUses } = (await json("token", "list"))[0];
  assert.deepEqual([machineName, networks, maxUses], [null, [], 5]);
  await refused(2, "usage_invalid", "token", "set", made.id);
  await refused(1, "value_invalid", "token", "set", made.id, "--uses", "1");
  assert.equal((await json("token", "revoke", made.id)).status, "revoked");
  await refused(1, "token_revoked", "token", "set", made.id, "--uses", "9");
  const statuses = (await json("token", "list")).map(({ status }: { status: string }) => status);
  assert.deepEqual(statuses.sort(), ["live", "revoked"]);
});

test("broker CLI: settings and log switches; the audit table says who", async () => {
  const before = (await cli("settings", "show")).stdout;
  assert.match(before, /^log level +info \(as configured; connectors by their own configuration\)$/m);
  assert.match(before, /^coming back after expiry +within 90 days \(default\)$/m);
  assert.equal((await json("log", "session", "on")).sessionLog, true);
  assert.equal((await json("log", "level", "debug")).logLevel, "debug");
  const settings = await json(
    "settings",
    "set",
    "--desired-connector-version",
    "1.2.3",
    "--session-log",
    "off",
  );
  assert.deepEqual([settings.sessionLog, settings.desiredConnectorVersion], [false, "1.2.3"]);
  assert.equal((await json("log", "level")).logLevel, "debug");
  const after = (await cli("settings", "show")).stdout;
  assert.match(after, /^log level +debug$/m);
  assert.match(after, /^shared identity +allow \(default\)$/m);
  const entries = await json("audit", "list", "--limit", "2");
  assert.equal(entries.length, 2);
  assert.equal(entries[0].action, "settings.update");
  assert.equal(entries[0].actor.address, "127.0.0.1");
});

test("broker CLI: wrong usage ends with 2, a failure with 1, and says its code", async () => {
  await refused(2, "usage_invalid", "token", "create", "--ttl", "soon");
  // The connector has a group, and keeps it.
  await refused(2, "usage_invalid", "token", "create", "--group", "Default", "--connector", "x");
  await refused(2, "usage_invalid", "app", "create", "--name", "x");
  await refused(2, "usage_invalid", "app", "set", "x");
  await refused(2, "usage_invalid", "log", "session", "maybe");
  await refused(2, "invalid_request", "settings", "set", "--log-level", "loud");
  // In words of the command line, not of the request behind it.
  assert.match(
    (await cli("settings", "set", "--log-level", "loud")).stderr,
    /^Error: Cannot use --log-level: /,
  );
  assert.match((await cli("token", "create", "--uses", "-1")).stderr, /^Error: Cannot use --uses "-1": /);
  assert.match((await cli("token", "create", "--ttl", "900d")).stderr, /^Error: Cannot use --ttl: /);
  const wiki = [
    "app",
    "create",
    "--name",
    "Wiki",
    "--internal-url",
    "http://a",
    "--external-url",
    "https://b?x",
  ];
  await refused(2, "invalid_request", ...wiki);
  assert.match((await cli(...wiki)).stderr, /^Error: Cannot use --external-url: /);
  for (
    const args of [["nonsense"], ["app", "nonsense"], ["app", "list", "--nonsense"], [
      "connector",
      "move",
      "x",
    ]]
  ) {
    const outcome = await brokerCli(args);
    assert.equal(outcome.code, 2, outcome.stderr);
    assert.notEqual(outcome.stderr, "");
  }
  const configuration = await brokerCli(["config", "check", "--ping-interval-ms", "x", "--json"]);
  assert.deepEqual([configuration.code, configuration.json.error.code], [2, "configuration_value_invalid"]);
  const checked = await brokerCli(["config", "check", "--ping-interval-ms", "200", "--json"]);
  assert.deepEqual([checked.code, checked.json.values.pingIntervalMs], [0, 200]);
  assert.match(checked.json.warnings[0], /^No public certificate/);
  const closed = await brokerCli(["config", "check", "--admin-listen", "", "--json"]);
  assert.deepEqual([closed.code, closed.json.error.code], [2, "configuration_value_invalid"]);
  const certificates = JSON.stringify([{
    hosts: ["a.test"],
    certFile: "nowhere.pem",
    keyFile: "nowhere.key",
  }]);
  const unread = await brokerCli(["config", "check", "--certificates", certificates, "--json"]);
  assert.deepEqual([unread.code, unread.json.error.code], [2, "public_certificate_unreadable"]);
});

test("broker CLI: an app that no user can open yet is not proposed to be tried", async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), "sallyport-cli-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const broker = await startBroker({ dataDir, plainListen: "" });
  t.after(() => broker.stop());
  const create = ["app", "create", "--name", "Wiki", "--internal-url", "http://a"];
  const { code, stdout } = await brokerCli(
    [...create, "--external-url", "https://wiki.example.com", "--data-dir", dataDir],
    { SALLYPORT_ADMIN_URL: broker.adminUrl },
  );
  assert.equal(code, 0);
  assert.match(stdout, /no certificate for "wiki\.example\.com"/);
  assert.match(stdout, new RegExp(`listens on port ${broker.listeners.public.port}, not on 443`));
  assert.doesNotMatch(stdout, /Try https/);
});

test("broker CLI: address and token may be missing, wrong or dead", async () => {
  const asking = (env: Record<string, string>, ...args: string[]) =>
    brokerCli(["group", "list", "--json", ...args], env);
  const codeOf = ({ code, json }: CliOutcome) => [code, json.error.code];
  const token = (await readFile(dataFolder(folder).adminToken, "utf8")).trim();
  const env = { SALLYPORT_ADMIN_URL: server.url };
  assert.equal((await asking({ ...env, SALLYPORT_ADMIN_TOKEN: token })).code, 0);
  const other = `spa_${"A".repeat(43)}`;
  assert.deepEqual(codeOf(await asking({ ...env, SALLYPORT_ADMIN_TOKEN: other })), [1, "unauthorized"]);
  assert.deepEqual(codeOf(await asking({ ...env, SALLYPORT_ADMIN_TOKEN: "x" })), [2, "admin_token_missing"]);
  const nowhere = ["--admin-token-file", join(folder, "nowhere")];
  assert.deepEqual(codeOf(await asking(env, ...nowhere)), [2, "admin_token_missing"]);
  const wrong = ["--admin-url", "localhost:9180"];
  assert.deepEqual(codeOf(await asking({ SALLYPORT_ADMIN_TOKEN: token }, ...wrong)), [2, "usage_invalid"]);
  const secret = "hunter2hunter2";
  for (
    const args of [
      ["--admin-url", `http://u:${secret}@h/`],
      ["--admin-url", `http:u:${secret}@h/`],
      ["--admin-url", `u:${secret}\n@h/`],
      ["--admin-url", `http://127.0.0.1:1/?token=${secret}`],
      ["--admin-url", `http://127.0.0.1:1/#${secret}`],
      ["--admin-url", `http://127.0.0.1:1/?token=x@${secret}`],
      ["--admin-url", `http://u:${secret}?x@h/`],
      [`--token=spa_${secret}`],
    ]
  ) {
    const { code, stderr } = await asking({ SALLYPORT_ADMIN_TOKEN: token }, ...args);
    assert.deepEqual([code, stderr.includes(secret)], [2, false], stderr);
  }
  using own = await ownPort();
  const closed = await serveAdmin(createAdminAppStub(), { host: "127.0.0.1", port: own.port });
  await closed.close();
  const gone = await asking({ SALLYPORT_ADMIN_TOKEN: token }, "--admin-url", closed.url);
  assert.deepEqual(codeOf(gone), [1, "admin_unreachable"]);
  const listen = await asking({
    SALLYPORT_ADMIN_TOKEN: token,
    SALLYPORT_ADMIN_LISTEN: new URL(server.url).host,
  });
  assert.equal(listen.code, 0, listen.stderr);
});

test("broker CLI: backs up while the store is in use; restore refuses until it is not, then brings all back", async (t) => {
  const other = await mkdtemp(join(tmpdir(), "sallyport-restore-"));
  t.after(() => rm(other, { recursive: true, force: true }));
  const data = join(other, "data");
  const group = await json("group", "create", "Kept");
  const { backup } = await json("backup");
  await refused(1, "backup_failed", "backup", "--to", backup);
  assert.equal((await stat(backup)).mode & 0o077, 0);
  assert.deepEqual((await readdir(backup)).sort(), ["admin-token", "ca", "store.db"]);
  assert.deepEqual(await readdir(dataFolder(folder).backups), [backup.split("/").at(-1)]);
  await refused(1, "store_in_use", "restore", backup);
  await refused(1, "restore_refused", "restore", join(folder, "ca"));

  // What `init` made is replaced, and kept beside.
  const made = await brokerCli(["init", "--data-dir", data, "--json"]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal(made.json.adminTokenMade, true);
  const restored = await brokerCli(["restore", backup, "--data-dir", data, "--json"]);
  assert.equal(restored.code, 0, restored.stderr);
  assert.ok((await stat(restored.json.replacedStore)).isFile());
  assert.ok((await stat(join(restored.json.replacedCa, "root.key.pem"))).isFile());
  const again = await brokerCli(["init", "--data-dir", data, "--json"]);
  assert.deepEqual([again.json.caFingerprint, again.json.adminTokenMade], [ca.caFingerprint, false]);
  const config = join(other, "broker.yaml");
  await writeFile(config, `dataDir: ${data}\n`);
  const next = (await brokerCli(["init", "--config", config])).stdout.trimEnd().split("\n").at(-1);
  assert.equal(next, `Next: sallyport-broker run --config ${config}`);
  assert.deepEqual(await readFile(join(data, "admin-token")), await readFile(dataFolder(folder).adminToken));
  const copy = await openStore({ path: dataFolder(data).store });
  t.after(() => copy.close());
  assert.equal((await copy.getGroup(group.id)).name, "Kept");
});

test("broker CLI: the last admin token cannot be revoked; reset, with the broker stopped, makes another one", async (t) => {
  const other = await mkdtemp(join(tmpdir(), "sallyport-reset-"));
  t.after(() => rm(other, { recursive: true, force: true }));
  const data = join(other, "data");
  const broker = await startBroker({ dataDir: data });
  t.after(() => broker.stop());
  const reach = ["--admin-url", broker.adminUrl, "--data-dir", data, "--json"];
  const [first] = (await brokerCli(["admin-token", "list", ...reach])).json;
  const revoked = await brokerCli(["admin-token", "revoke", first.id, ...reach]);
  assert.deepEqual([revoked.code, revoked.json.error.code], [1, "admin_token_last"]);
  const running = await brokerCli(["admin-token", "reset", "--data-dir", data, "--json"]);
  assert.deepEqual([running.code, running.json.error.code], [1, "store_in_use"]);
  await broker.stop();
  const reset = await brokerCli(["admin-token", "reset", "--data-dir", data, "--json"]);
  assert.equal(reset.code, 0, reset.stderr);
  const again = await startBroker({ dataDir: data });
  t.after(() => again.stop());
  assert.notEqual(again.adminToken, broker.adminToken);
  assert.equal((await again.admin.connectors()).length, 0);
  const old = await brokerCli(["admin-token", "list", "--admin-url", again.adminUrl, "--json"], {
    SALLYPORT_ADMIN_TOKEN: broker.adminToken,
  });
  assert.equal(old.json.error.code, "unauthorized");
});

test("broker CLI: reset makes no folder where none is", async (t) => {
  const other = await mkdtemp(join(tmpdir(), "sallyport-reset-"));
  t.after(() => rm(other, { recursive: true, force: true }));
  const reset = await brokerCli(["admin-token", "reset", "--data-dir", join(other, "typo"), "--json"]);
  assert.deepEqual([reset.code, reset.json.error.code], [2, "usage_invalid"]);
  assert.deepEqual(await readdir(other), []);
});

test(
  "broker CLI: what root would write into the folder of another user's broker is refused, looking is not",
  {
    skip: process.getuid?.() !== 0 && "only root can give a folder away",
  },
  async (t) => {
    const other = await mkdtemp(join(tmpdir(), "sallyport-owner-"));
    t.after(() => rm(other, { recursive: true, force: true }));
    const [data, backup] = [join(other, "data"), join(other, "backup")];
    const run = (...args: string[]) => brokerCli([...args, "--data-dir", data, "--json"]);
    assert.equal((await run("init")).code, 0);
    const paths = async () =>
      ["", ...await readdir(data, { recursive: true })].map((name) => join(data, name));
    for (const path of await paths()) await chown(path, 12_345, 12_345);
    for (const args of [["ca", "show"], ["backup", "--to", backup]]) {
      assert.equal((await run(...args)).code, 0, args.join(" "));
    }
    const writing = [
      ["init"],
      ["ca", "renew-issuing"],
      ["ca", "export-root-key", join(other, "root.key.pem"), "--remove"],
      ["backup"],
      ["restore", backup],
      ["admin-token", "reset"],
    ];
    for (const args of writing) {
      const { code, json } = await run(...args);
      assert.deepEqual([code, json?.error?.code], [1, "data_folder_permissions"], args.join(" "));
    }
    for (const path of await paths()) assert.equal((await stat(path)).uid, 12_345, path);
  },
);

function createAdminAppStub() {
  const metrics = createMetrics({ counters: new DataPlaneCounters(), processMetrics: false });
  return createAdminApp({ store, live, metrics, tokenFacts: TOKEN_FACTS, clock: Date, log: silentLog });
}
