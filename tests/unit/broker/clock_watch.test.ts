import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openCa } from "../../../src/broker/ca/ca.ts";
import { CaFolder } from "../../../src/broker/ca/ca_folder.ts";
import { beginRollOver } from "../../../src/broker/ca/roll_over.ts";
import { publicKeyOf } from "../../../src/broker/ca/authority.ts";
import { ClockWatch } from "../../../src/broker/clock_watch.ts";
import { certificateFingerprint, readCertificates, validity } from "../../../src/platform/certificate.ts";
import { silentLog } from "../../../src/platform/log.ts";
import { generatePrivateKey } from "../../../src/platform/x509.ts";
import { enrolOne, temporaryStore } from "../../support/store_fixture.ts";

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
const START = Date.UTC(2030, 0, 1);

/** Two clocks that go on together; the wall clock can be set. */
class Clocks {
  ahead = 0;
  passed = 0;
  readonly clock = { now: () => START + this.passed + this.ahead };
  readonly monotonic = { now: () => this.passed };
  readonly watch = new ClockWatch({ clock: this.clock, monotonic: this.monotonic });
}

test("clock watch: a jump either way is not believed for a day, a steady clock is", () => {
  const clocks = new Clocks();
  assert.equal(clocks.watch.isTrusted(), true);
  clocks.passed += 300 * DAY_MS;
  assert.equal(clocks.watch.isTrusted(), true, "long between looks");
  for (const ahead of [800 * DAY_MS, 0]) {
    clocks.ahead = ahead;
    assert.equal(clocks.watch.isTrusted(), false);
    clocks.passed += DAY_MS - 1;
    assert.equal(clocks.watch.isTrusted(), false);
    clocks.passed += 1;
    assert.equal(clocks.watch.isTrusted(), true);
  }
  clocks.ahead = 3_600_000;
  assert.equal(clocks.watch.isTrusted(), true, "summer time");
});

test("clock watch: at a start far from the newest moment on record the clock is not believed for a day", () => {
  for (
    const [newest, trusted] of [[START - 800 * DAY_MS, false], [START + 800 * DAY_MS, false], [
      START - 60 * DAY_MS,
      true,
    ], [null, true]] as const
  ) {
    const clocks = new Clocks();
    clocks.watch.compare(newest);
    assert.equal(clocks.watch.isTrusted(), trusted);
    clocks.passed += DAY_MS;
    assert.equal(clocks.watch.isTrusted(), true);
  }
});

for (
  const [what, ahead, heldDays] of [["for an hour", 800 * DAY_MS, 0], ["for days", 800 * DAY_MS, 3], [
    "by four years",
    4 * YEAR_MS,
    3,
  ], ["by 19 years", 19 * YEAR_MS, 3]] as const
) {
  test(`authority: a clock that is ahead ${what} costs it nothing once it is right again`, async (t) => {
    const path = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
    t.after(() => rm(path, { recursive: true, force: true }));
    const clocks = new Clocks();
    const open = () =>
      openCa(path, {
        names: ["t.test"],
        log: silentLog,
        clock: clocks.clock,
        isClockTrusted: () => clocks.watch.isTrusted(),
      });
    let ca = await open();
    const root = ca.caFingerprint;
    const key = publicKeyOf(await generatePrivateKey("p256"));
    const [leaf] = readCertificates((await ca.issueConnectorCertificate("c0ffee", key)).pem);
    clocks.passed += 2 * DAY_MS;
    clocks.ahead = ahead;
    for (let day = 0; day <= heldDays; day++) {
      await ca.tend().catch(() => {});
      clocks.passed += DAY_MS;
    }
    clocks.ahead = 0;
    for (const restarted of [false, true]) {
      if (restarted) {
        await ca[Symbol.asyncDispose]();
        ca = await open();
      }
      for (let day = 0; day < 3; day++) {
        await ca.tend();
        clocks.passed += DAY_MS;
      }
      const now = clocks.clock.now();
      for (
        const one of [
          ...readCertificates(ca.serverContext("t.test").cert),
          ...readCertificates(ca.trustAnchors),
        ]
      ) {
        assert.ok(validity(one).notBefore <= now && now < validity(one).notAfter, one.subject);
      }
      assert.equal(ca.caFingerprint, root);
      assert.equal(ca.identityOf(leaf).connectorId, "c0ffee", "what was signed before");
      assert.deepEqual(readCertificates(ca.trustAnchors).map(certificateFingerprint), [root]);
    }
    await ca[Symbol.asyncDispose]();
  });
}

test("authority: while the clock is not believed nothing of it is replaced, and a roll-over is not finished", async (t) => {
  const path = await mkdtemp(join(tmpdir(), "sallyport-ca-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  const clocks = new Clocks();
  const isClockTrusted = () => clocks.watch.isTrusted();
  await using ca = await openCa(path, {
    names: ["t.test"],
    log: silentLog,
    clock: clocks.clock,
    isClockTrusted,
  });
  const folder = new CaFolder(path, null);
  await beginRollOver(folder, clocks.clock.now());
  await ca.tend();
  const mark = await folder.mark();
  clocks.ahead = 800 * DAY_MS;
  await ca.tend();
  assert.equal(await folder.mark(), mark);
  clocks.passed += DAY_MS;
  await ca.tend();
  assert.notEqual(await folder.mark(), mark, "it is believed in the end");
});

test("store: certificates are not forgotten because the clock was ahead once, and are when they are old", async (t) => {
  const clocks = new Clocks();
  const { store, clock } = await temporaryStore(t, {
    clock: clocks.clock,
    mayForget: () => clocks.watch.isTrusted(),
  });
  clock.time = clocks.clock.now();
  const { connector } = await enrolOne(store, clock);
  const issue = async (serial: string) =>
    await store.setConnectorCertificate(connector.id, {
      serial,
      notBefore: clocks.clock.now(),
      notAfter: clocks.clock.now() + 90 * DAY_MS,
      publicKeySha256: "key",
      pem: serial,
    });
  await issue("0a");
  clocks.ahead = 500 * DAY_MS;
  await issue("0b");
  clocks.ahead = 0;
  assert.ok(await store.findCertificate("0a"));
  assert.equal(await store.certificateForKey(connector.id, "key"), "0a", "none of the future");
  await issue("0c");
  assert.equal((await store.listCertificates({ limit: 9 })).items.length, 3);
  clocks.passed += 500 * DAY_MS;
  await issue("0d");
  assert.equal(await store.findCertificate("0a"), null);
  assert.ok(await store.findCertificate("0d"));
});
