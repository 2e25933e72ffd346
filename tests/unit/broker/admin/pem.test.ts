import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { certificatesFault } from "../../../../src/broker/admin/pem.ts";
import { openCa } from "../../../../src/broker/ca/ca.ts";
import { silentLog } from "../../../../src/platform/log.ts";

test("PEM check: takes certificates, refuses keys, damaged and missing ones", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-pem-"));
  t.after(() => rm(folder, { recursive: true }));
  await using ca = await openCa(folder, { names: ["tunnel.example.com"], log: silentLog });
  const certificate = ca.trustAnchors;
  assert.equal(certificatesFault(certificate), null);
  assert.equal(certificatesFault(`# ours\n${certificate}\n${certificate}`), null);
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  assert.notEqual(certificatesFault(certificate + privateKey), null);
  assert.notEqual(
    certificatesFault(certificate.replace(/\n[A-Za-z0-9+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA")),
    null,
  );
  assert.notEqual(certificatesFault(certificate.slice(0, -20)), null);
  assert.notEqual(certificatesFault(""), null);
});
