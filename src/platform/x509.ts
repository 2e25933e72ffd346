// @peculiar/x509 resolves its parts through tsyringe, which needs this polyfill before anything else.
import "reflect-metadata";
import { createHash, createPublicKey, type KeyObject, randomBytes, type X509Certificate } from "node:crypto";
import { Crypto } from "@peculiar/webcrypto";
import * as x509 from "@peculiar/x509";
import { readPrivateKey } from "./certificate.ts";
import { X509Error } from "./x509_errors.ts";

/** Kinds of keys that Sallyport makes and accepts. */
export const KEY_TYPES = ["p256", "p384", "rsa3072"] as const;

/** One of `KEY_TYPES`; accepted RSA keys may also be longer, up to 8,192 bits. */
export type KeyType = (typeof KEY_TYPES)[number];

/** The public key of a certificate request whose signature, key type and size are in order. */
export interface RequestedKey {
  publicKey: KeyObject;
  /** SHA-256 of the public key (SPKI, DER), lower-case hex. */
  sha256: string;
}

/** What a certificate is for: decides its key usages and constraints. */
export type CertificatePurpose = "root" | "issuing" | "server" | "client";

/** A certificate to sign. */
export interface CertificateParameters {
  purpose: CertificatePurpose;
  commonName: string;
  publicKey: KeyObject;
  notBefore: Date;
  notAfter: Date;
  /** Whose key signs; for a root, its own key and no certificate. */
  issuer: { privateKey: string; certificate: X509Certificate | null };
  dnsName?: string;
  uri?: string;
}

type KeyAlgorithm = EcKeyGenParams | RsaHashedKeyGenParams;

const EC_P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const EC_P384 = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 3072,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const ALGORITHMS: Readonly<Record<KeyType, KeyAlgorithm & { hash: string }>> = {
  p256: EC_P256,
  p384: EC_P384,
  rsa3072: RSA,
};
const RSA_MIN_BITS = 3_072;
const RSA_MAX_BITS = 8_192;
const MAX_PEM_LENGTH = 16_384;
const SHA2 = /^SHA-(256|384|512)$/;

const { keyCertSign, cRLSign, digitalSignature } = x509.KeyUsageFlags;
const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
const EXTENSIONS: Readonly<Record<CertificatePurpose, () => x509.Extension[]>> = {
  root: () => [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
  ],
  issuing: () => [
    new x509.BasicConstraintsExtension(true, 0, true),
    new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
  ],
  server: () => [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([serverAuth]),
  ],
  client: () => [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([clientAuth]),
  ],
};

const crypto = new Crypto();

/** Makes a private key, PKCS#8 PEM. RSA takes a tenth of a second or more. */
export async function generatePrivateKey(type: KeyType): Promise<string> {
  const keys = await crypto.subtle.generateKey(ALGORITHMS[type], true, ["sign", "verify"]) as CryptoKeyPair;
  return x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY") +
    "\n";
}

/** Makes a PKCS#10 request for a private key, PEM. Names in it are a courtesy: the issuer decides. Throws `key_invalid`. */
export async function createCertificateRequest(privateKey: string, commonName: string): Promise<string> {
  const keys = await importKeys(privateKey);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: signingAlgorithm(keys.privateKey),
  }, crypto);
  return request.toString("pem") + "\n";
}

/**
 * Takes the public key, and nothing else, from a PKCS#10 request, PEM. Throws `csr_invalid` with `details.reason`:
 * `form`, `key` (not P-256, P-384, RSA of 3,072 to 8,192 bits), `hash` (SHA-1), `signature`.
 */
export async function readCertificateRequest(pem: string): Promise<RequestedKey> {
  const { request, publicKey } = parseRequest(pem);
  if (!isAcceptableKey(publicKey)) {
    throw invalidRequest("key", "its key is not P-256, P-384 or RSA of 3,072 bits or more");
  }
  if (!SHA2.test(request.signatureAlgorithm.hash?.name ?? "")) {
    throw invalidRequest("hash", "its signature is not made with SHA-256 or better");
  }
  const verified = await request.verify(crypto).catch(() => false);
  if (!verified) throw invalidRequest("signature", "its signature is not made with its key");
  return { publicKey, sha256: createHash("sha256").update(spkiOf(publicKey)).digest("hex") };
}

/** Signs a certificate with a random serial number of 128 bits; PEM. Throws `key_invalid`. */
export async function createCertificate(parameters: CertificateParameters): Promise<string> {
  const { privateKey } = await importKeys(parameters.issuer.privateKey);
  const certificate = await x509.X509CertificateGenerator.create({
    ...await contentOf(parameters, parameters.issuer.certificate),
    signingKey: privateKey,
    signingAlgorithm: signingAlgorithm(privateKey),
  }, crypto);
  return certificate.toString("pem") + "\n";
}

/** What an issuer elsewhere is to sign: the DER of a certificate without its signature (TBSCertificate, RFC 5280 section 4.1). */
export async function createUnsignedCertificate(
  parameters: Omit<CertificateParameters, "issuer">,
  issuer: X509Certificate,
): Promise<Buffer> {
  const certificate = await x509.X509CertificateGenerator.create({
    ...await contentOf(parameters, issuer),
    signature: new Uint8Array(1),
    signingAlgorithm: algorithmOf(issuer.publicKey),
  }, crypto);
  return unsignedPart(Buffer.from(certificate.rawData));
}

/** The DER of a certificate without its signature. */
export function unsignedPart(certificate: Buffer): Buffer {
  const outer = elementAt(certificate, 0);
  const inner = elementAt(certificate, outer.content);
  return certificate.subarray(outer.content, inner.end);
}

/** Where the content of a DER element begins, and where it ends (X.690 section 8.1). */
function elementAt(der: Buffer, at: number): { content: number; end: number } {
  const first = der.readUInt8(at + 1);
  if (first < 0x80) return { content: at + 2, end: at + 2 + first };
  const bytes = first & 0x7f;
  if (bytes === 0 || bytes > 4) throw new X509Error("certificate_invalid", "Cannot read certificate: no DER");
  const content = at + 2 + bytes;
  return { content, end: content + der.readUIntBE(at + 2, bytes) };
}

async function contentOf(
  parameters: Omit<CertificateParameters, "issuer">,
  issuer: X509Certificate | null,
) {
  const { purpose, commonName, publicKey, notBefore, notAfter, dnsName, uri } = parameters;
  const subject = [{ CN: [commonName] }];
  const names: x509.JsonGeneralNames = [
    ...(dnsName === undefined ? [] : [{ type: "dns" as const, value: dnsName }]),
    ...(uri === undefined ? [] : [{ type: "url" as const, value: uri }]),
  ];
  return {
    serialNumber: randomSerial(),
    subject,
    issuer: issuer === null ? subject : new x509.X509Certificate(issuer.raw).subjectName,
    notBefore,
    notAfter,
    publicKey: await crypto.subtle.importKey("spki", spkiOf(publicKey), importAlgorithm(publicKey), true, [
      "verify",
    ]),
    extensions: [
      ...EXTENSIONS[purpose](),
      new x509.SubjectKeyIdentifierExtension(keyIdentifier(publicKey)),
      new x509.AuthorityKeyIdentifierExtension(
        keyIdentifierOf(issuer) ?? keyIdentifier(issuer?.publicKey ?? publicKey),
      ),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ],
  };
}

/** The identifier that an issuer says its key has: another program may have made its certificate. */
function keyIdentifierOf(issuer: X509Certificate | null): string | undefined {
  if (issuer === null) return undefined;
  return new x509.X509Certificate(issuer.raw).getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
}

/** Object identifiers of the purposes that a certificate names; empty when it names none. (Deno's `keyUsage` lacks them.) */
export function extendedKeyUsages(certificate: X509Certificate): readonly string[] {
  const extension = new x509.X509Certificate(certificate.raw).getExtension(x509.ExtendedKeyUsageExtension);
  return Array.from(extension?.usages ?? [], String);
}

/** True for a certificate that is signed with SHA-256, SHA-384 or SHA-512. */
export function isSignedWithSha2(certificate: X509Certificate): boolean {
  return SHA2.test(new x509.X509Certificate(certificate.raw).signatureAlgorithm.hash?.name ?? "");
}

/** Object identifier of "may authenticate a TLS client" (RFC 5280 section 4.2.1.12). */
export const CLIENT_AUTH: string = clientAuth;

function parseRequest(pem: string): { request: x509.Pkcs10CertificateRequest; publicKey: KeyObject } {
  if (pem.length > MAX_PEM_LENGTH) {
    throw invalidRequest("form", `it is longer than ${MAX_PEM_LENGTH} characters`);
  }
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const key = Buffer.from(request.publicKey.rawData);
    return { request, publicKey: createPublicKey({ key, format: "der", type: "spki" }) };
  } catch (cause) {
    throw invalidRequest("form", "it is not a PKCS#10 request in PEM", cause);
  }
}

/** True for P-256, P-384 and RSA of 3,072 to 8,192 bits. */
export function isAcceptableKey(key: KeyObject): boolean {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ec") return curveOf(namedCurve) !== null;
  return key.asymmetricKeyType === "rsa" && modulusLength >= RSA_MIN_BITS && modulusLength <= RSA_MAX_BITS;
}

/** Node names curves as OpenSSL does, Deno partly as the Web Cryptography API does. */
function curveOf(name: string | undefined): typeof EC_P256 | null {
  if (name === "prime256v1" || name === "P-256" || name === "p256") return EC_P256;
  if (name === "secp384r1" || name === "P-384" || name === "p384") return EC_P384;
  return null;
}

function importAlgorithm(key: KeyObject): typeof EC_P256 | typeof RSA {
  return curveOf(key.asymmetricKeyDetails?.namedCurve) ?? RSA;
}

async function importKeys(pem: string): Promise<CryptoKeyPair> {
  try {
    const key = readPrivateKey(pem);
    const pkcs8 = new Uint8Array(key.export({ type: "pkcs8", format: "der" }));
    const publicKey = createPublicKey(key);
    const algorithm = importAlgorithm(publicKey);
    return {
      privateKey: await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]),
      publicKey: await crypto.subtle.importKey("spki", spkiOf(publicKey), algorithm, true, ["verify"]),
    };
  } catch (cause) {
    throw new X509Error("key_invalid", "Cannot use private key: it is damaged or of an unknown kind", {
      cause,
    });
  }
}

/** How an issuer whose key we do not have signs. */
function algorithmOf(key: KeyObject): Algorithm & { hash: string } {
  const { name, hash } = importAlgorithm(key);
  return { name, hash };
}

/** An elliptic curve key signs with the hash of its own strength. */
function signingAlgorithm(key: CryptoKey): Algorithm & { hash: string } {
  const { name, namedCurve } = key.algorithm as EcKeyAlgorithm;
  return { name, hash: namedCurve === "P-384" ? "SHA-384" : "SHA-256" };
}

/** RFC 7093 section 2: the leftmost 160 bits of SHA-256, here over the whole SPKI; SHA-1 is not needed anywhere. */
function keyIdentifier(key: KeyObject): string {
  return createHash("sha256").update(spkiOf(key)).digest("hex").slice(0, 40);
}

/** 16 bytes, the first two bits fixed: positive, and never shorter in any notation (RFC 5280 section 4.1.2.2). */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString("hex");
}

function spkiOf(key: KeyObject): Uint8Array<ArrayBuffer> {
  return new Uint8Array(key.export({ type: "spki", format: "der" }));
}

function invalidRequest(reason: string, state: string, cause?: unknown): X509Error {
  return new X509Error("csr_invalid", `Cannot accept certificate request: ${state}`, {
    cause,
    details: { reason },
  });
}
