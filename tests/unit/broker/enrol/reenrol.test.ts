import assert from "node:assert/strict";
import { sign } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { openCa } from "../../../../src/broker/ca/ca.ts";
import { CertificateRate } from "../../../../src/broker/ca/certificate_rate.ts";
import { Renewals } from "../../../../src/broker/ca/renewals.ts";
import { Enrolment } from "../../../../src/broker/enrol/enrol.ts";
import { enrolmentSecretSha256 } from "../../../../src/broker/enrol/secret.ts";
import { readCertificates, readPrivateKey } from "../../../../src/platform/certificate.ts";
import { silentLog } from "../../../../src/platform/log.ts";
import { createCertificateRequest, generatePrivateKey } from "../../../../src/platform/x509.ts";
import { reenrolmentProof } from "../../../../src/protocol/reenrolment.ts";
import { ADMIN, temporaryFolder, temporaryStore } from "../../../support/store_fixture.ts";

const ABOUT = { machineName: "m", os: "linux", version: "1" };

test("coming back: a good certificate gets no more of them than renewals do, by whichever way they are asked for", async (t) => {
  const clock = { time: Date.now(), now: () => clock.time };
  const { store } = await temporaryStore(t, { clock });
  await using ca = await openCa(join(temporaryFolder(t), "ca"), { names: ["t.test"], log: silentLog, clock });
  const rate = new CertificateRate(5, clock);
  const parts = { store, ca, rate, clock, log: silentLog };
  const enrolment = new Enrolment({ ...parts, brokerAddress: "b:1", tunnelName: "t.test" });
  const renewals = new Renewals(parts);
  const secret = "secret of the token";
  await store.createEnrolmentToken(ADMIN, {
    description: "",
    groupId: "default",
    expiresAt: clock.now() + 1_000,
    maxUses: 1,
    secretSha256: enrolmentSecretSha256(secret),
  });
  const request = async () => await createCertificateRequest(await generatePrivateKey("p256"), "x");
  const key = await generatePrivateKey("p256");
  const { connectorId: id, certificate } = await enrolment.enrol({
    secret,
    csr: await createCertificateRequest(key, "x"),
    ...ABOUT,
  }, "127.0.0.1");
  const serial = readCertificates(certificate)[0].serialNumber.toLowerCase();
  const comeBack = async (csr: string) => {
    const signed = { nonce: enrolment.nonce().nonce, serial, csr };
    const signature = sign("sha256", reenrolmentProof(signed), readPrivateKey(key)).toString("base64");
    return await enrolment.reenrol({ ...signed, signature, ...ABOUT });
  };

  // One was for the token.
  for (let i = 0; i < 2; i++) await renewals.renew(id, await request());
  const csr = await request();
  const { certificate: had } = await comeBack(csr);
  await comeBack(await request());
  const limited = { code: "renewal_limited", retryable: true };
  await assert.rejects(comeBack(await request()), limited);
  await assert.rejects(renewals.renew(id, await request()), limited);
  assert.equal((await comeBack(csr)).certificate, had, "the same again is none more");
  clock.time += 3_600_001;
  await comeBack(await request());
});
