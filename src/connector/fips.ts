import {
  createHash,
  createPublicKey,
  generateKeyPairSync,
  setFips,
  sign,
  verify,
  X509Certificate,
} from "node:crypto";
import { duplexPair } from "node:stream";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import { SallyportError } from "../platform/error.ts";

/** Codes of `FipsError`. */
export const FIPS_CODES = ["fips_unproven"] as const;

/** Cryptography does not come from a FIPS provider, or not only. `details.proof` names what did not hold. */
export class FipsError extends SallyportError<(typeof FIPS_CODES)[number]> {}

const NAME = "fips.sallyport.invalid";
const HANDSHAKE_MS = 10_000;
const HOUR_MS = 3_600_000;

/**
 * Switches to FIPS mode and proves it by what must work (SHA-256, signatures with P-256, a TLS handshake) and by what
 * must not (MD5): the switch alone succeeds on a machine without any provider. Throws `FipsError`.
 */
export async function proveFips(): Promise<void> {
  await prove("switch", () => setFips(true));
  await prove("SHA-256", () => createHash("sha256").update("sallyport").digest());
  await prove("P-256 signature", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const message = Buffer.from("sallyport");
    if (!verify("sha256", message, publicKey, sign("sha256", message, privateKey))) {
      throw new Error("is wrong");
    }
  });
  await prove("TLS", shakeHands);
  await prove("MD5 refused", () => {
    try {
      createHash("md5").update("sallyport").digest();
    } catch {
      return;
    }
    throw new Error("MD5 works, so that another provider than FIPS is in use as well");
  });
}

async function prove(proof: string, work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw new FipsError(
      "fips_unproven",
      `Cannot prove FIPS mode (${proof}): ${
        (cause as Error).message
      }; OpenSSL's configuration (OPENSSL_CONF, ` +
        "OPENSSL_MODULES) must activate the providers fips and base, and no other",
      { cause, details: { proof } },
    );
  }
}

/** A handshake of this process with itself, with a certificate made for it. */
async function shakeHands(): Promise<void> {
  const { createCertificate, generatePrivateKey } = await import("../platform/x509.ts");
  const key = await generatePrivateKey("p256");
  const now = Date.now();
  const cert = await createCertificate({
    purpose: "server",
    commonName: NAME,
    dnsName: NAME,
    publicKey: createPublicKey(key),
    notBefore: new Date(now - HOUR_MS),
    notAfter: new Date(now + HOUR_MS),
    issuer: { privateKey: key, certificate: null },
  });
  const [near, far] = duplexPair();
  const server = new TLSSocket(far, { isServer: true, secureContext: createSecureContext({ key, cert }) });
  const client = connect({
    socket: near,
    servername: NAME,
    minVersion: "TLSv1.3",
    // The certificate itself is compared below: it is of nobody whom anyone trusts.
    rejectUnauthorized: false,
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error("handshake not finished")), HANDSHAKE_MS);
      client.once("secureConnect", resolve).once("error", reject);
      server.once("error", reject);
    });
    const shown = new X509Certificate(client.getPeerCertificate().raw).fingerprint256;
    if (shown !== new X509Certificate(cert).fingerprint256) throw new Error("another certificate was shown");
  } finally {
    clearTimeout(timer);
    for (const socket of [client, server]) socket.on("error", () => {}).destroy();
  }
}
