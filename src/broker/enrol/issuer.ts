import { readCertificates, validity } from "../../platform/certificate.ts";
import { readCertificateRequest, type RequestedKey } from "../../platform/x509.ts";
import { X509Error } from "../../platform/x509_errors.ts";
import type { Ca } from "../ca/ca.ts";
import type { CertificateRate } from "../ca/certificate_rate.ts";
import type { Store } from "../store/port.ts";
import { EnrolmentRefusal } from "./errors.ts";

/** What issuing needs of the rest of the broker. */
export interface IssuerParts {
  store: Pick<Store, "certificateForKey" | "setConnectorCertificate">;
  ca: Pick<Ca, "issueConnectorCertificate">;
  rate: CertificateRate;
  clock: { now(): number };
}

/** Makes certificates for keys: one for each, on record before it is given, and the same one where it is asked for again. */
export class Issuer {
  readonly #parts: IssuerParts;
  /** Certificates being made: the same request sent twice at once gets one certificate. */
  readonly #issuing = new Map<string, Promise<string>>();

  constructor(parts: IssuerParts) {
    this.#parts = parts;
  }

  /**
   * PEM, leaf first. `vouchedBy`: the certificate whose key asked; without it a token was used, which has limits of its own.
   * Throws `EnrolmentRefusal` `renewal_limited`, `StoreError` (`certificate_revoked`), `CaError`.
   */
  certificate(connectorId: string, key: RequestedKey, vouchedBy?: string): Promise<string> {
    const name = `${connectorId} ${key.sha256}`;
    const begun = this.#issuing.get(name);
    if (begun !== undefined) return begun;
    const certificate = this.#make(connectorId, key, vouchedBy).finally(() => this.#issuing.delete(name));
    this.#issuing.set(name, certificate);
    return certificate;
  }

  async #make(id: string, key: RequestedKey, vouchedBy: string | undefined): Promise<string> {
    const { store, ca, rate, clock } = this.#parts;
    const stored = await store.certificateForKey(id, key.sha256);
    if (stored !== null && validity(readCertificates(stored)[0]).notAfter > clock.now()) return stored;
    const issue = async (): Promise<string> => {
      const issued = await ca.issueConnectorCertificate(id, key.publicKey);
      await store.setConnectorCertificate(id, issued, vouchedBy);
      return issued.pem;
    };
    return await rate.counted(id, issue, vouchedBy === undefined ? issue : () => Promise.reject(limited(id)));
  }
}

function limited(id: string): EnrolmentRefusal {
  return new EnrolmentRefusal(
    "renewal_limited",
    429,
    `Cannot let connector "${id}" come back: it had as many certificates within an hour as it may`,
    { retryAfter: 600 },
  );
}

/** The key of a request, PEM. Throws `EnrolmentRefusal` `csr_invalid`. */
export async function readRequestedKey(csr: string): Promise<RequestedKey> {
  try {
    return await readCertificateRequest(csr);
  } catch (error) {
    if (!(error instanceof X509Error) || error.code !== "csr_invalid") throw error;
    throw new EnrolmentRefusal("csr_invalid", 400, error.message, { cause: error });
  }
}
