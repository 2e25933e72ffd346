import { publicKeySha256, readCertificates, validity } from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import { readCertificateRequest, type RequestedKey } from "../../platform/x509.ts";
import type { Store } from "../store/port.ts";
import type { Ca } from "./ca.ts";
import type { CertificateRate } from "./certificate_rate.ts";
import { RenewalRefusal } from "./errors.ts";

/** What renewals need of the rest of the broker. */
export interface RenewalParts {
  store: Pick<Store, "getConnector" | "connectorCertificate" | "setConnectorCertificate">;
  ca: Pick<Ca, "issueConnectorCertificate">;
  rate: CertificateRate;
  clock?: { now(): number };
  log: Log;
}

/**
 * Gives connectors that prove who they are by their tunnel a certificate for a new key. Of the request only the public
 * key counts. Each certificate is recorded before it is answered: one whose answer was lost is given again.
 */
export class Renewals {
  readonly #parts: RenewalParts;
  readonly #clock: { now(): number };
  /** The last renewal of each connector that is under way: the next one waits for it. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(parts: RenewalParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? Date;
  }

  /**
   * The certificate, leaf first, PEM. `vouchedBy` is the serial number of the one whose tunnel asked. Throws `X509Error`
   * (`csr_invalid`), `RenewalRefusal` (`connector_disabled`, `renewal_limited`), `StoreError` (`certificate_revoked` where
   * the one that asked was revoked since), `CaError`.
   */
  async renew(connectorId: string, csr: string, vouchedBy?: string): Promise<string> {
    const key = await readCertificateRequest(csr);
    const before = this.#running.get(connectorId) ?? Promise.resolve();
    const renewal = before.catch(() => {}).then(() => this.#renew(connectorId, key, vouchedBy));
    this.#running.set(connectorId, renewal);
    try {
      return await renewal;
    } finally {
      if (this.#running.get(connectorId) === renewal) this.#running.delete(connectorId);
    }
  }

  async #renew(id: string, key: RequestedKey, vouchedBy: string | undefined): Promise<string> {
    const { store, ca, rate, log } = this.#parts;
    const { enabled } = await store.getConnector(id);
    if (!enabled) {
      throw new RenewalRefusal("connector_disabled", `Cannot renew: connector "${id}" is disabled`);
    }
    const newest = await store.connectorCertificate(id);
    if (newest !== null) {
      const [leaf] = readCertificates(newest);
      const same = publicKeySha256(leaf.publicKey) === key.sha256;
      const { notBefore, notAfter } = validity(leaf);
      // One of the future was issued when the clock was ahead.
      if (same && notBefore <= this.#clock.now() && this.#clock.now() < notAfter) return newest;
    }
    const issue = async (): Promise<string> => {
      const issued = await ca.issueConnectorCertificate(id, key.publicKey);
      await store.setConnectorCertificate(id, issued, vouchedBy);
      const { serial, notAfter } = issued;
      log.info("Renewed a connector's certificate", {
        connector: id,
        serial,
        notAfter: new Date(notAfter).toISOString(),
      });
      return issued.pem;
    };
    return await rate.counted(id, issue, () => Promise.reject(limited(id)));
  }
}

function limited(id: string): RenewalRefusal {
  return new RenewalRefusal(
    "renewal_limited",
    `Cannot renew for connector "${id}": it had as many certificates within an hour as it may`,
    { retryable: true },
  );
}
