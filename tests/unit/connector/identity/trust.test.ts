import assert from "node:assert/strict";
import { test } from "node:test";
import { checkTrust } from "../../../../src/connector/identity/trust.ts";
import { createPublicKey } from "node:crypto";
import { createCertificate, generatePrivateKey } from "../../../../src/platform/x509.ts";

const NOW = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;

async function root(from: number, to: number, purpose: "root" | "client" = "root"): Promise<string> {
  const privateKey = await generatePrivateKey("p256");
  return await createCertificate({
    purpose,
    commonName: "root",
    publicKey: createPublicKey(privateKey),
    notBefore: new Date(from),
    notAfter: new Date(to),
    issuer: { privateKey, certificate: null },
  });
}

test("trust anchors: a root is taken over beside one that is trusted, and alone later", async () => {
  const [a, b] = [await root(NOW - DAY_MS, NOW + DAY_MS), await root(NOW - DAY_MS, NOW + DAY_MS)];
  assert.equal(checkTrust(a, a, NOW), null);
  assert.equal(checkTrust(a + b, a + b, NOW), null);
  const both = checkTrust(a + b, a, NOW);
  assert.equal(both, a + b);
  assert.equal(checkTrust(b + a, both!, NOW), b + a, "the first one is that in use");
  assert.equal(checkTrust(b, both!, NOW), b);
});

test("trust anchors: strangers, damaged ones, expired ones, too many and certificates that are no roots are refused", async () => {
  const a = await root(NOW - DAY_MS, NOW + DAY_MS);
  const refused = { code: "trust_refused" };
  assert.throws(() => checkTrust("", a, NOW), refused);
  assert.throws(() => checkTrust(a.slice(0, 200), a, NOW), refused);
  for (
    const other of [
      await root(NOW - 2 * DAY_MS, NOW - DAY_MS),
      await root(NOW + DAY_MS, NOW + 2 * DAY_MS),
      await root(NOW - DAY_MS, NOW + DAY_MS, "client"),
    ]
  ) {
    assert.throws(() => checkTrust(a + other, a, NOW), refused);
  }
  const stranger = await root(NOW - DAY_MS, NOW + DAY_MS);
  assert.throws(() => checkTrust(stranger, a, NOW), refused);
  assert.throws(() => checkTrust(a.repeat(17), a, NOW), refused);
});
