import type { KeyObject, X509Certificate } from "node:crypto";
import {
  certificateFingerprint,
  publicKeySha256,
  readCertificates,
  validity,
} from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import { createCertificate } from "../../platform/x509.ts";
import { lifetime } from "./authority.ts";
import { type CaKeys, openCaFolder } from "./ca_folder.ts";
import { CaError } from "./errors.ts";
import { type ConnectorIdentity, connectorUri, identityOf } from "./identity.ts";
import { createServerContext, isContextDue, type ServerContext } from "./server_contexts.ts";

/** A certificate for a connector, with what the store records of it. */
export interface IssuedCertificate {
  /** Leaf and issuing certificate, PEM: what the connector shows. */
  pem: string;
  /** Lower-case hex. */
  serial: string;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
  /** SHA-256 of the public key (SPKI, DER), lower-case hex. */
  publicKeySha256: string;
}

/** The broker's certificate authority. Dispose it to stop the renewal of the broker's own certificates. */
export interface Ca extends AsyncDisposable {
  /** SHA-256 of the root certificate (DER), lower-case hex: goes into enrolment tokens. */
  readonly caFingerprint: string;
  /** Roots that connectors are told to trust, and that the tunnel listener trusts (`ca` of its TLS context), PEM. */
  readonly trustAnchors: string;
  /** Current key and certificate of one of the names given at opening. */
  serverContext(name: string): ServerContext;
  /** Calls `listener` with each context that replaces another; returns the way to stop. */
  onServerContext(listener: (context: ServerContext) => void): () => void;
  /** Replaces the broker's own certificates that are due; runs hourly by itself. */
  renewServerContexts(): Promise<void>;
  /** Signs a certificate for a connector's public key, names and uses as this broker says. */
  issueConnectorCertificate(connectorId: string, publicKey: KeyObject): Promise<IssuedCertificate>;
  /** Reads who holds the leaf that TLS verified. Throws `PeerCertificateError`. */
  identityOf(leaf: X509Certificate): ConnectorIdentity;
}

/** What a certificate authority needs. */
export interface CaOptions {
  /** Names that this broker serves with certificates of its own: of tunnels and of enrolment. */
  names: readonly string[];
  /** Lifetime of connectors' certificates, milliseconds; 90 days by default. */
  connectorCertificateMs?: number;
  log: Log;
  clock?: { now(): number };
}

/** Lifetime of a connector's certificate unless told otherwise. */
export const CONNECTOR_CERTIFICATE_MS = 90 * 86_400_000;

const RENEWAL_CHECK_MS = 3_600_000;

/** Opens the authority in `dataDir`/ca, made at the first start. Throws `CaError`. */
export async function openCa(dataDir: string, options: CaOptions): Promise<Ca> {
  const { clock = Date, connectorCertificateMs = CONNECTOR_CERTIFICATE_MS } = options;
  const now = clock.now();
  const keys = await openCaFolder(dataDir, now);
  if (validity(keys.root.certificate).notAfter <= now || validity(keys.issuing.certificate).notAfter <= now) {
    throw new CaError("ca_expired", `Cannot use the certificate authority in "${dataDir}": it has expired`);
  }
  const ca = new FileCa(keys, { ...options, clock, connectorCertificateMs });
  await ca.renewServerContexts();
  ca.start();
  return ca;
}

class FileCa implements Ca {
  readonly caFingerprint: string;
  readonly trustAnchors: string;
  readonly #keys: CaKeys;
  readonly #names: readonly string[];
  readonly #log: Log;
  readonly #clock: { now(): number };
  readonly #connectorCertificateMs: number;
  readonly #contexts = new Map<string, ServerContext>();
  readonly #listeners = new Set<(context: ServerContext) => void>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(keys: CaKeys, { names, log, clock, connectorCertificateMs }: Required<CaOptions>) {
    this.#connectorCertificateMs = connectorCertificateMs;
    this.#keys = keys;
    this.#names = names.map((name) => name.toLowerCase());
    this.#log = log;
    this.#clock = clock;
    this.caFingerprint = certificateFingerprint(keys.root.certificate);
    this.trustAnchors = keys.root.pem;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.renewServerContexts().catch((error) => {
        this.#log.error("Cannot renew the broker's own certificates", { error: String(error) });
      });
    }, RENEWAL_CHECK_MS);
    this.#timer.unref();
  }

  serverContext(name: string): ServerContext {
    const context = this.#contexts.get(name.toLowerCase());
    if (context === undefined) {
      throw new CaError("ca_invalid", `Cannot serve name "${name}": it is not of this broker`);
    }
    return context;
  }

  onServerContext(listener: (context: ServerContext) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async renewServerContexts(): Promise<void> {
    const { root, issuing } = this.#keys;
    for (const name of this.#names) {
      const before = this.#contexts.get(name);
      if (before !== undefined && !isContextDue(before, this.#clock.now())) continue;
      const context = await createServerContext(name, issuing, root, this.#clock.now());
      this.#contexts.set(name, context);
      if (before === undefined) continue;
      this.#log.info("Renewed a certificate of the broker", {
        name,
        notAfter: new Date(context.notAfter).toISOString(),
      });
      for (const listener of this.#listeners) listener(context);
    }
  }

  async issueConnectorCertificate(connectorId: string, publicKey: KeyObject): Promise<IssuedCertificate> {
    const { issuing } = this.#keys;
    const leaf = await createCertificate({
      purpose: "client",
      commonName: connectorId,
      uri: connectorUri(connectorId),
      publicKey,
      ...lifetime(this.#clock.now(), this.#connectorCertificateMs),
      issuer: issuing,
    });
    const [certificate] = readCertificates(leaf);
    return {
      pem: leaf + issuing.pem,
      serial: certificate.serialNumber.toLowerCase(),
      ...validity(certificate),
      publicKeySha256: publicKeySha256(certificate.publicKey),
    };
  }

  identityOf(leaf: X509Certificate): ConnectorIdentity {
    const { issuing, former } = this.#keys;
    return identityOf(leaf, [issuing.certificate, ...former], this.#clock.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }
}
