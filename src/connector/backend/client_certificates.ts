import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { BackendError } from "./errors.ts";
import { isExhaustion } from "./exhaustion.ts";

/** Where a certificate, with those that lead to its root, and its key are: PEM files. */
export interface CertificateFiles {
  certificate: string;
  key: string;
}

/**
 * The certificates that this host has for backends, by the names that apps call them. Keys stay in their files: they are
 * read for each connection, so that renewed ones need no restart.
 */
export class ClientCertificates {
  readonly #files: Readonly<Record<string, CertificateFiles>>;

  constructor(files: Readonly<Record<string, CertificateFiles>>) {
    this.#files = files;
  }

  /** Certificate and key as they are now. Throws `BackendError` `backend_misconfigured`, and `connector_exhausted`. */
  read(name: string): { cert: Buffer; key: Buffer } {
    const files = Object.hasOwn(this.#files, name) ? this.#files[name] : undefined;
    if (files === undefined) {
      throw new BackendError(
        "backend_misconfigured",
        `Cannot use client certificate "${name}": backendClientCertificates of this connector has none of this name`,
      );
    }
    try {
      const pair = { cert: readFileSync(files.certificate), key: readFileSync(files.key) };
      createSecureContext(pair);
      // Deno's context takes anything.
      if (!new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key))) {
        throw new Error("key does not match");
      }
      return pair;
    } catch (cause) {
      throw new BackendError(
        isExhaustion(cause) ? "connector_exhausted" : "backend_misconfigured",
        `Cannot use client certificate "${name}" of "${files.certificate}" and "${files.key}": ${cause}`,
        { cause },
      );
    }
  }

  /** Reads all of them once, so that a slip shows at the start. Throws as `read` does. */
  check(): void {
    for (const name of Object.keys(this.#files)) this.read(name);
  }
}

/** Those of a host that has none. */
export const NO_CLIENT_CERTIFICATES: ClientCertificates = new ClientCertificates({});
