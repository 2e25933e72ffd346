import "reflect-metadata";
import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { Crypto } from "@peculiar/webcrypto";
import * as x509 from "@peculiar/x509";
import {
  keyMatches,
  publicKeySha256,
  readCertificates,
  readPrivateKey,
} from "../../../src/platform/certificate.ts";
import {
  createCertificate,
  createCertificateRequest,
  extendedKeyUsages,
  generatePrivateKey,
  readCertificateRequest,
} from "../../../src/platform/x509.ts";

const crypto = new Crypto();

/** A request such as an attacker's own tools would make. */
async function foreignRequest(
  algorithm: EcKeyGenParams | RsaHashedKeyGenParams,
  hash: string,
): Promise<string> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
  const signingAlgorithm = { name: algorithm.name, hash };
  return (await x509.Pkcs10CertificateRequestGenerator.create(
    { name: "CN=a", keys, signingAlgorithm },
    crypto,
  ))
    .toString("pem");
}

const rsa = (modulusLength: number, hash: string) => ({
  name: "RSASSA-PKCS1-v1_5",
  hash,
  modulusLength,
  publicExponent: new Uint8Array([1, 0, 1]),
});

for (const type of ["p256", "p384", "rsa3072"] as const) {
  test(`certificate request: a key of type ${type} is taken from it`, async () => {
    const key = await generatePrivateKey(type);
    const { publicKey, sha256 } = await readCertificateRequest(await createCertificateRequest(key, "host"));
    assert.equal(sha256, publicKeySha256(readPrivateKey(key)));
    const pem = await createCertificate({
      purpose: "client",
      commonName: "a",
      publicKey,
      notBefore: new Date(0),
      notAfter: new Date(1e12),
      issuer: { privateKey: await generatePrivateKey("p384"), certificate: null },
    });
    const [certificate] = readCertificates(pem);
    assert.ok(keyMatches(certificate, readPrivateKey(key)));
    assert.deepEqual(extendedKeyUsages(certificate), ["1.3.6.1.5.5.7.3.2"]);
    assert.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/);
  });
}

test("certificate request: weak or odd keys are refused", async () => {
  const p521 = { name: "ECDSA", namedCurve: "P-521" };
  for (
    const [algorithm, hash] of [[rsa(1_024, "SHA-256"), "SHA-256"], [rsa(2_048, "SHA-256"), "SHA-256"], [
      p521,
      "SHA-512",
    ]] as const
  ) {
    const request = await foreignRequest(algorithm, hash);
    await assert.rejects(readCertificateRequest(request), {
      code: "csr_invalid",
      details: { reason: "key" },
    });
  }
});

test("certificate request: a signature with SHA-1 is refused", async () => {
  for (const algorithm of [rsa(3_072, "SHA-1"), { name: "ECDSA", namedCurve: "P-256" }]) {
    const request = await foreignRequest(algorithm, "SHA-1");
    await assert.rejects(readCertificateRequest(request), {
      code: "csr_invalid",
      details: { reason: "hash" },
    });
  }
});

test("certificate request: one that was not signed with its own key is refused", async () => {
  const pem = await createCertificateRequest(await generatePrivateKey("p256"), "host");
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  const other = createPublicKey(createPrivateKey(
    generateKeyPairSync("ec", {
      namedCurve: "P-256",
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    }).privateKey,
  )).export({ type: "spki", format: "der" });
  const at = der.indexOf(Buffer.from([0x03, 0x42, 0x00, 0x04]));
  assert.notEqual(at, -1);
  other.copy(der, at + 4, other.length - 64);
  const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${
    der.toString("base64")
  }\n-----END CERTIFICATE REQUEST-----\n`;
  await assert.rejects(readCertificateRequest(forged), {
    code: "csr_invalid",
    details: { reason: "signature" },
  });
});

test("certificate request: what is none is refused", async () => {
  const pem = await createCertificateRequest(await generatePrivateKey("p256"), "host");
  for (const text of ["", "hello", pem.slice(0, 120), pem.replace("MI", "MM"), "x".repeat(20_000), "{}"]) {
    await assert.rejects(readCertificateRequest(text), { code: "csr_invalid", details: { reason: "form" } });
  }
});

test("private key: what is none is refused", async () => {
  await assert.rejects(
    createCertificateRequest("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "host"),
    {
      code: "key_invalid",
    },
  );
  assert.throws(() => readPrivateKey("nothing"), { code: "key_invalid" });
  assert.throws(() => readCertificates("nothing"), { code: "certificate_invalid" });
});
