import { certificateFingerprint, readCertificates, validity } from "../../platform/certificate.ts";
import { generatePrivateKey } from "../../platform/x509.ts";
import type { Authorities } from "./authorities.ts";
import { lifetime, publicKeyOf } from "./authority.ts";
import { pemOf } from "./ca_folder.ts";

/** Key and certificate of one name of the broker, ready for `tls.createSecureContext`. */
export interface ServerContext {
  name: string;
  /** PKCS#8, PEM. A secret, in memory only. */
  key: string;
  /** Leaf, issuing certificate and root, PEM: the root too, so that a connector that enrols can compare fingerprints. */
  cert: string;
  /** SHA-256 of the issuing certificate (DER), lower-case hex. */
  issuer: string;
  /** When the leaf ends, milliseconds since the epoch. */
  notAfter: number;
}

/** Lifetime of the broker's own certificates: 90 days, replaced after two thirds. */
export const SERVER_CERTIFICATE_MS = 90 * 86_400_000;

/** Makes a key and a certificate for one name. */
export async function createServerContext(
  name: string,
  authorities: Authorities,
  now: number,
): Promise<ServerContext> {
  const key = await generatePrivateKey("p256");
  const { issuing, root } = authorities.state;
  const leaf = await authorities.sign({
    purpose: "server",
    commonName: name,
    dnsName: name,
    publicKey: publicKeyOf(key),
    ...lifetime(now, SERVER_CERTIFICATE_MS),
  });
  const { notAfter } = validity(readCertificates(leaf)[0]);
  const issuer = certificateFingerprint(issuing);
  return { name, key, cert: leaf + pemOf(issuing) + pemOf(root), issuer, notAfter };
}

/** True when a certificate has used up two thirds of its life, or none of it has come yet (the clock went back). */
export function isContextDue({ notAfter }: ServerContext, now: number): boolean {
  const left = notAfter - now;
  return left < SERVER_CERTIFICATE_MS / 3 || left > SERVER_CERTIFICATE_MS;
}
