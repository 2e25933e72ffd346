import assert from "node:assert/strict";
import { test } from "node:test";
import { CertificateRate } from "../../../../src/broker/ca/certificate_rate.ts";
import { CaError } from "../../../../src/broker/ca/errors.ts";
import { notFound, StoreError } from "../../../../src/broker/store/errors.ts";

const ID = "c0ffee";
const done = () => Promise.resolve("done");
const full = () => Promise.resolve("full");

test("certificate rate: what the broker itself could not do counts for nobody's hour, what was refused does", async () => {
  const broken = [
    new CaError("ca_sign_failed", "away"),
    new StoreError("store_unavailable", "locked"),
    new StoreError("store_failed", "disk full"),
    new StoreError("store_damaged", "torn"),
    new TypeError("a slip of ours"),
  ];
  for (const error of broken) {
    const rate = new CertificateRate(1);
    await assert.rejects(rate.counted(ID, () => Promise.reject(error), full), error);
    assert.equal(await rate.counted(ID, done, full), "done", error.message);
    assert.equal(await rate.counted(ID, done, full), "full", error.message);
  }
  for (const error of [new StoreError("certificate_revoked", "revoked"), notFound("connector", ID)]) {
    const rate = new CertificateRate(1);
    await assert.rejects(rate.counted(ID, () => Promise.reject(error), full), error);
    assert.equal(await rate.counted(ID, done, full), "full", error.code);
    assert.equal(await rate.counted("other", done, full), "done");
  }
});

test("certificate rate: what fails gives its own place back, not that of another one under way", async () => {
  let now = 0;
  const rate = new CertificateRate(2, { now: () => now });
  const first = Promise.withResolvers<string>();
  const failing = rate.counted(ID, () => first.promise, full);
  now += 3_000_000;
  assert.equal(await rate.counted(ID, done, full), "done");
  assert.equal(await rate.counted(ID, done, full), "full");
  first.reject(new CaError("ca_sign_failed", "away"));
  await assert.rejects(failing, { code: "ca_sign_failed" });
  now += 3_000_000; // The hour of the first one is over, that of the second is not.
  assert.equal(await rate.counted(ID, done, full), "done");
  assert.equal(await rate.counted(ID, done, full), "full");
});
