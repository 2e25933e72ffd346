import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContext, type SecureVersion } from "node:tls";
import { CertificateError } from "./certificate_errors.ts";

/** A certificate with its key, ready for handshakes. */
export interface CertificatePair {
  /** PEM, as read. */
  readonly cert: string;
  readonly key: string;
  readonly context: SecureContext;
  /** Of the first certificate in the file: SHA-256, for logs. */
  readonly fingerprint: string;
  readonly notAfter: Date;
}

/**
 * Reads a pair from two PEM files. Throws `CertificateError`: `public_certificate_unreadable` when a file cannot be read,
 * `public_certificate_invalid` when it is not PEM or the key is not the certificate's.
 */
export async function readPair(
  certFile: string,
  keyFile: string,
  minVersion: SecureVersion,
): Promise<CertificatePair> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)]);
  try {
    const first = new X509Certificate(cert);
    return {
      cert,
      key,
      context: createSecureContext({ cert, key, minVersion }),
      fingerprint: first.fingerprint256,
      notAfter: new Date(first.validTo),
    };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CertificateError(
      "public_certificate_invalid",
      `Cannot use certificate "${certFile}": ${reason}`,
      {
        cause,
        details: { certFile, keyFile },
      },
    );
  }
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, "latin1");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new CertificateError("public_certificate_unreadable", `Cannot read "${file}": ${code}`, {
      cause,
      details: { file },
    });
  }
}
