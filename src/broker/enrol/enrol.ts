import { readCertificates, validity } from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import { readCertificateRequest, type RequestedKey } from "../../platform/x509.ts";
import { X509Error } from "../../platform/x509_errors.ts";
import type { EnrolmentRequest, EnrolmentResponse } from "../../protocol/enrolment.ts";
import type { Ca } from "../ca/ca.ts";
import type { ConnectorRecord } from "../model.ts";
import type { Store } from "../store/port.ts";
import { EnrolmentRefusal } from "./errors.ts";
import { enrolmentSecretSha256 } from "./secret.ts";

/** What enrolment needs of the rest of the broker. */
export interface EnrolmentParts {
  store: Pick<Store, "enrolConnector" | "certificateForKey" | "setConnectorCertificate">;
  ca: Pick<Ca, "issueConnectorCertificate" | "trustAnchors">;
  /** `host:port` that connectors are to dial; a function where it is known only once the listener is bound. */
  brokerAddress: string | (() => string);
  tunnelName: string;
  clock: { now(): number };
  log: Log;
}

/** One enrolment: uses the token, makes the connector, signs its certificate. Throws `EnrolmentRefusal` or `StoreError`. */
export class Enrolment {
  readonly #parts: EnrolmentParts;
  /** Certificates being made: the same request sent twice at once gets one certificate. */
  readonly #issuing = new Map<string, Promise<string>>();

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
  }

  async enrol(request: EnrolmentRequest, externalIp: string): Promise<EnrolmentResponse> {
    const { store, ca, brokerAddress, tunnelName, clock, log } = this.#parts;
    const key = await readKey(request.csr);
    const connector = await store.enrolConnector(enrolmentSecretSha256(request.secret), {
      machineName: request.machineName,
      os: request.os,
      softwareVersion: request.version,
      externalIp,
      publicKeySha256: key.sha256,
    }, clock.now());
    if (!connector.enabled) {
      throw new EnrolmentRefusal(
        "connector_disabled",
        403,
        `Cannot enrol: connector "${connector.id}" is disabled`,
      );
    }
    const certificate = await this.#certificateOnce(connector, key);
    const { machineName } = request;
    log.info("Enrolled connector", {
      connector: connector.id,
      group: connector.groupId,
      machineName,
      externalIp,
    });
    return {
      connectorId: connector.id,
      certificate,
      ca: ca.trustAnchors,
      tunnelName,
      brokerAddress: typeof brokerAddress === "function" ? brokerAddress() : brokerAddress,
    };
  }

  #certificateOnce({ id }: ConnectorRecord, key: RequestedKey): Promise<string> {
    const name = `${id} ${key.sha256}`;
    const begun = this.#issuing.get(name);
    if (begun !== undefined) return begun;
    const certificate = this.#certificate(id, key).finally(() => this.#issuing.delete(name));
    this.#issuing.set(name, certificate);
    return certificate;
  }

  /** The stored certificate where there is a good one (its answer was lost), else a new one, on disk before it is given. */
  async #certificate(id: string, key: RequestedKey): Promise<string> {
    const { store, ca, clock } = this.#parts;
    const stored = await store.certificateForKey(id, key.sha256);
    if (stored !== null && validity(readCertificates(stored)[0]).notAfter > clock.now()) return stored;
    const issued = await ca.issueConnectorCertificate(id, key.publicKey);
    await store.setConnectorCertificate(id, issued);
    return issued.pem;
  }
}

async function readKey(csr: string): Promise<RequestedKey> {
  try {
    return await readCertificateRequest(csr);
  } catch (error) {
    if (!(error instanceof X509Error) || error.code !== "csr_invalid") throw error;
    throw new EnrolmentRefusal("csr_invalid", 400, error.message, { cause: error });
  }
}
