/** Wall clocks that are set forward or back by a day, and right again, while users are served. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createEnrolmentSecret } from "../../src/broker/enrol/secret.ts";
import { callBroker } from "../../src/connector/identity/broker_call.ts";
import type { EnrolmentTarget } from "../../src/connector/identity/enrolment_socket.ts";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { readStatus } from "../../src/connector/status/client.ts";
import { statusSocketPath } from "../../src/connector/status/socket_path.ts";
import { registerConnector } from "../../src/demo/processes.ts";
import { createCertificateRequest, generatePrivateKey } from "../../src/platform/x509.ts";
import { ENROL_PATH } from "../../src/protocol/enrolment.ts";
import { OpenLoop, summarise } from "../faults/open_loop.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { type FakeClock, fakeClock } from "../support/faketime.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";

const DAY_S = 86_400;
const STEPS = [["forward", DAY_S], ["back", -DAY_S]] as const;

async function serialOf(stateDir: string): Promise<string> {
  return new X509Certificate((await loadIdentity(stateDir)).certificate).serialNumber;
}

/** Seconds by which the broker's clock is ahead. */
async function aheadOf(stage: TunnelStage): Promise<number> {
  const { headers } = await fetch(new URL("/healthz", stage.broker.adminUrl));
  return (Date.parse(headers.get("date")!) - Date.now()) / 1_000;
}

/** Resolves once the broker's clock is this far ahead. */
async function seen(stage: TunnelStage, offsetS: number): Promise<void> {
  await until(
    `the broker's clock is ${offsetS} s ahead`,
    async () => Math.abs(await aheadOf(stage) - offsetS) <= 60,
  );
}

async function start(
  t: TestContext,
  who: "broker" | "connector",
  clock: FakeClock,
  ...args: string[]
): Promise<TunnelStage> {
  const stage = await TunnelStage.start({
    ...(who === "broker" ? { brokerEnv: clock.env } : { connectorEnv: clock.env }),
    prepare: () => Promise.resolve(["--remove-inactive-after-ms", "120000", ...args]),
  });
  t.after(() => stage[Symbol.asyncDispose]());
  const { origin } = await stage.backend((_req, res) => void res.end("ok"));
  await stage.publish("/", origin);
  return stage;
}

/** Cuts the tunnel; resolves when another one is there, with the seconds by which the connector's clock is ahead. */
async function redial(stage: TunnelStage): Promise<number> {
  const before = (await stage.facts()).tunnels.map(({ connectedAt }) => connectedAt);
  const from = stage.connectorLog.length;
  stage.relay.cut();
  const { time } = await stage.logged("tunnel ready", from);
  await stage.until(
    "another tunnel",
    ({ tunnels }) => tunnels.some(({ connectedAt }) => !before.includes(connectedAt)),
  );
  assert.equal((await fetch(stage.url())).status, 200);
  return (Date.parse(String(time)) - Date.now()) / 1_000;
}

/** Cuts tunnels until the connector has made one by a clock that is so many seconds ahead: when it is set, it may see that later. */
async function redialledAt(stage: TunnelStage, ahead: number): Promise<void> {
  await until(
    `a tunnel is dialled by a clock that is ${ahead} s ahead`,
    async () => Math.abs(await redial(stage) - ahead) < 300,
  );
}

for (const [direction, offsetS] of STEPS) {
  test(`broker's clock a day ${direction} and right again: tunnels stay, cut ones come back, nobody is removed or locked out`, async (t) => {
    const clock = await fakeClock(t);
    if (clock === null) return;
    const stage = await start(t, "broker", clock);
    const absent = join(stage.folder, "absent");
    const token = await stage.broker.admin.enrolmentToken();
    const { connectorId } = await registerConnector({ stateDir: absent, token, runtime: connectorRuntime() });
    const serial = await serialOf(stage.stateDir);
    const [tunnel] = (await stage.facts()).tunnels;
    const load = new OpenLoop({ url: stage.url(), rate: 50 });
    t.after(() => load.stop());
    await clock.set(offsetS);
    await seen(stage, offsetS);
    await lockOut(stage);
    await clock.set(0);
    await seen(stage, 0);
    const outcomes = summarise(await load.stop()).outcomes;
    assert.deepEqual(outcomes, {}, "no request has failed");
    assert.deepEqual((await stage.facts()).tunnels.map(({ connectedAt }) => connectedAt), [
      tunnel!.connectedAt,
    ]);
    await redial(stage);
    assert.equal(await serialOf(stage.stateDir), serial);
    const known = await stage.broker.admin.connectors();
    assert.ok(known.some(({ id }) => id === connectorId), "who is away is not removed");
    // What is owed for wrong secrets is forgiven at the usual pace.
    const good = await stage.broker.admin.enrolmentToken();
    let refusal: unknown;
    await until(
      "the address may register again",
      () => registerWith(stage, good, "good").then(() => true, (error) => void (refusal = error)),
      { more: () => String(refusal) },
    );
  });
}

/** Tries wrong secrets until the broker takes no more from this address. */
async function lockOut(stage: TunnelStage): Promise<void> {
  const { address, enrolName, ca } = await loadIdentity(stage.stateDir);
  const csr = await createCertificateRequest(await generatePrivateKey("p256"), "host");
  await until("no more secrets are taken", async () => {
    let code = "";
    const { secret } = createEnrolmentSecret();
    const body = JSON.stringify({ secret, csr, machineName: "m", os: "linux", version: "1" });
    const target: EnrolmentTarget = { address, enrolName, trust: { ca }, stepMs: 10_000 };
    await callBroker(target, ENROL_PATH, body, String).catch((error) => code = error.details.brokerCode);
    if (code !== "source_limited") assert.equal(code, "token_unknown");
    return code === "source_limited";
  });
}

async function registerWith(stage: TunnelStage, token: string, name: string): Promise<void> {
  await registerConnector({ stateDir: join(stage.folder, name), token, runtime: connectorRuntime() });
}

for (const who of ["broker", "connector"] as const) {
  for (const [direction, offsetS] of STEPS) {
    test(`${who}'s clock a day ${direction}: a tunnel that is cut is dialled again meanwhile, and with the clock right again`, async (t) => {
      const clock = await fakeClock(t);
      if (clock === null) return;
      const stage = await start(t, who, clock);
      const serial = await serialOf(stage.stateDir);
      for (const now of [offsetS, 0]) {
        await clock.set(now);
        if (who === "broker") await seen(stage, now);
        assert.equal((await fetch(stage.url())).status, 200);
        await redialledAt(stage, who === "connector" ? now : 0);
        assert.equal((await fetch(stage.url())).status, 200);
      }
      assert.equal(await serialOf(stage.stateDir), serial);
      const { renewalFailures } = await readStatus(statusSocketPath(stage.stateDir));
      assert.equal(renewalFailures, 0);
      assert.equal((await stage.broker.admin.connectors()).length, 1);
    });
  }
}

test("connector's clock past the end of its certificate: it is used on, and kept, as long as it is good by the broker's clock", async (t) => {
  const clock = await fakeClock(t);
  if (clock === null) return;
  const stage = await start(t, "connector", clock, "--connector-certificate-ms", "43200000");
  const serial = await serialOf(stage.stateDir);
  const status = () => readStatus(statusSocketPath(stage.stateDir));
  await clock.set(DAY_S);
  // The clock may pass the end of the certificate after a dial has looked at it: the next dial says so then.
  const hasSaid = () => stage.connectorLog.some((line) => line.includes("used all the same"));
  await until("a dial says that the certificate is used", async () => {
    if (!hasSaid()) await redial(stage);
    return hasSaid();
  });
  await stage.logged("certificate not renewed");
  assert.equal(await serialOf(stage.stateDir), serial);
  await clock.set(0);
  // An attempt that is under way now may end well.
  await redialledAt(stage, 0);
  await until("no renewal fails any more", async () => (await status()).renewalFailures === 0);
  const { notAfter } = await loadIdentity(stage.stateDir);
  assert.equal(
    (await status()).certificateNotAfter,
    new Date(notAfter).toISOString(),
    "what is on disk is in use",
  );
});
