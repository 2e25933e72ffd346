import type { X509Certificate } from "node:crypto";
import { isIssuedBy, validity } from "../../platform/certificate.ts";
import { CLIENT_AUTH, extendedKeyUsages, isAcceptableKey, isSignedWithSha2 } from "../../platform/x509.ts";
import { PeerCertificateError } from "./errors.ts";

/** Who holds a certificate. */
export interface ConnectorIdentity {
  connectorId: string;
  /** Serial number, lower-case hex. */
  serial: string;
  /** When it ends, milliseconds since the epoch: no tunnel outlives it. */
  notAfter: number;
}

const URI_PREFIX = "sallyport:connector:";
const ONLY_URI = /^URI:sallyport:connector:([A-Za-z0-9_-]{1,64})$/;

/** The name that says which connector holds a certificate: the one `subjectAltName` in it. */
export function connectorUri(connectorId: string): string {
  return URI_PREFIX + connectorId;
}

/**
 * Reads who holds the leaf that TLS verified. TLS has checked the chain to the root; this checks, once more where it
 * is cheap, that one of `issuers` signed the leaf, that it is for TLS clients, strong, in time, and names one connector and
 * nothing else. Throws `PeerCertificateError`.
 */
export function identityOf(
  leaf: X509Certificate,
  issuers: readonly X509Certificate[],
  now: number,
): ConnectorIdentity {
  const serial = leaf.serialNumber.toLowerCase();
  const refuse = (code: PeerCertificateError["code"], state: string) =>
    new PeerCertificateError(code, `Cannot accept certificate "${serial}": ${state}`, {
      details: { serial },
    });

  if (!issuers.some((issuer) => isIssuedBy(leaf, issuer))) {
    throw refuse("peer_certificate_foreign", "this broker's authority has not issued it");
  }
  if (leaf.ca || !extendedKeyUsages(leaf).includes(CLIENT_AUTH)) {
    throw refuse("peer_certificate_purpose", "it is not for a TLS client");
  }
  if (!isAcceptableKey(leaf.publicKey) || !isSignedWithSha2(leaf)) {
    throw refuse("peer_certificate_weak", "its key or its signature is too weak");
  }
  const { notBefore, notAfter } = validity(leaf);
  if (!(notBefore <= now && now < notAfter)) {
    throw refuse("peer_certificate_expired", "it is not valid at this time");
  }
  const connectorId = ONLY_URI.exec(leaf.subjectAltName ?? "")?.[1];
  if (connectorId === undefined) throw refuse("peer_certificate_nameless", "it does not name one connector");
  return { connectorId, serial, notAfter };
}
