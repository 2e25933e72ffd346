import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
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
  /** True where the first certificate is good for this host, or for hosts of this pattern (`*.example.com`). */
  covers(pattern: string): boolean;
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
  const fail = (message: string, cause?: unknown) =>
    new CertificateError("public_certificate_invalid", message, { cause, details: { certFile, keyFile } });
  const first = parsed(() => new X509Certificate(cert));
  if (first instanceof Error) {
    throw fail(`Cannot use certificate "${certFile}": it holds no certificate in PEM`, first);
  }
  const parsedKey = parsed<KeyObject>(() => createPrivateKey(key));
  if (parsedKey instanceof Error) {
    throw fail(`Cannot use key "${keyFile}": it holds no private key in PEM, or an encrypted one`, parsedKey);
  }
  if (!first.checkPrivateKey(parsedKey)) {
    throw fail(`Cannot use certificate "${certFile}": the key in "${keyFile}" is not its own`);
  }
  const context = parsed(() => createSecureContext({ cert, key, minVersion }));
  if (context instanceof Error) {
    throw fail(`Cannot use certificate "${certFile}": ${context.message}`, context);
  }
  return {
    cert,
    key,
    context,
    fingerprint: first.fingerprint256,
    notAfter: new Date(first.validTo),
    covers: (pattern) => first.checkHost(pattern.replace(/^\*\./, "any-name.")) !== undefined,
  };
}

/** What `parse` makes, or why it could not. */
function parsed<T>(parse: () => T): T | Error {
  try {
    return parse();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
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
