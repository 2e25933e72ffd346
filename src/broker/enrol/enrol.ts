import type { Log } from "../../platform/log.ts";
import type { EnrolmentRequest, EnrolmentResponse } from "../../protocol/enrolment.ts";
import type { ReenrolmentNonce, ReenrolmentRequest } from "../../protocol/reenrolment.ts";
import type { Ca } from "../ca/ca.ts";
import type { CertificateRate } from "../ca/certificate_rate.ts";
import type { Store } from "../store/port.ts";
import { Issuer, type IssuerParts, readRequestedKey } from "./issuer.ts";
import { Nonces } from "./nonces.ts";
import { reenrol, type ReenrolmentParts } from "./reenrol.ts";
import { enrolmentSecretSha256 } from "./secret.ts";

/** What enrolment needs of the rest of the broker. */
export interface EnrolmentParts {
  store: IssuerParts["store"] & ReenrolmentParts["store"] & Pick<Store, "enrolConnector">;
  ca: Pick<Ca, "issueConnectorCertificate" | "trustAnchors">;
  rate: CertificateRate;
  /** `host:port` that connectors are to dial; a function where it is known only once the listener is bound. */
  brokerAddress: string | (() => string);
  tunnelName: string;
  clock: { now(): number };
  log: Log;
}

/** What the endpoint does, without HTTP. Throws `EnrolmentRefusal` or `StoreError`. */
export class Enrolment {
  readonly #parts: EnrolmentParts;
  readonly #issuer: Issuer;
  readonly #nonces = new Nonces();

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
    this.#issuer = new Issuer(parts);
  }

  /** Uses the token, makes the connector, signs its certificate. */
  async enrol(request: EnrolmentRequest, externalIp: string): Promise<EnrolmentResponse> {
    const { store, clock, log } = this.#parts;
    const issuer = this.#issuer;
    const key = await readRequestedKey(request.csr);
    const connector = await store.enrolConnector(enrolmentSecretSha256(request.secret), {
      machineName: request.machineName,
      os: request.os,
      softwareVersion: request.version,
      externalIp,
      publicKeySha256: key.sha256,
    }, clock.now());
    const certificate = await issuer.certificate(connector.id, key);
    const { machineName } = request;
    log.info("Enrolled connector", {
      connector: connector.id,
      group: connector.groupId,
      machineName,
      externalIp,
    });
    return this.#answer({ connectorId: connector.id, certificate });
  }

  /** A nonce for a connector that wants to come back. */
  nonce(): ReenrolmentNonce {
    const time = this.#parts.clock.now();
    return { nonce: this.#nonces.issue(time), time };
  }

  /** Lets a connector come back that proves the key of its expired certificate. Throws as `enrol` does. */
  async reenrol(request: ReenrolmentRequest): Promise<EnrolmentResponse> {
    return this.#answer(
      await reenrol({ ...this.#parts, nonces: this.#nonces, issuer: this.#issuer }, request),
    );
  }

  #answer(given: { connectorId: string; certificate: string }): EnrolmentResponse {
    const { ca, brokerAddress, tunnelName } = this.#parts;
    return {
      ...given,
      ca: ca.trustAnchors,
      tunnelName,
      brokerAddress: typeof brokerAddress === "function" ? brokerAddress() : brokerAddress,
    };
  }
}
