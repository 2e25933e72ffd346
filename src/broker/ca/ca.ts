import type { KeyObject, X509Certificate } from "node:crypto";
import {
  certificateFingerprint,
  publicKeySha256,
  readCertificates,
  validity,
} from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import type { Secret } from "../../platform/secret.ts";
import type { Authorities } from "./authorities.ts";
import { lifetime } from "./authority.ts";
import { pemOf } from "./ca_folder.ts";
import { CaError } from "./errors.ts";
import { ExternalAuthorities, type ExternalAuthoritiesOptions } from "./external_authorities.ts";
import { FolderAuthorities } from "./folder_authorities.ts";
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
  /** SHA-256 of the root certificate in use (DER), lower-case hex: goes into enrolment tokens. */
  readonly caFingerprint: string;
  /** Roots that connectors are told to trust, and that the tunnel listener trusts (`ca` of its TLS context), PEM. */
  readonly trustAnchors: string;
  /** Current key and certificate of one of the names given at opening. */
  serverContext(name: string): ServerContext;
  /** Calls `listener` with each context that replaces another; returns the way to stop. */
  onServerContext(listener: (context: ServerContext) => void): () => void;
  /** Calls `listener` when `trustAnchors` are others; returns the way to stop. */
  onTrustAnchors(listener: () => void): () => void;
  /** Does what is due: renewals of the broker's own certificates, changes of the authority. Runs each minute by itself. */
  tend(): Promise<void>;
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
  /** Encrypts the keys in the data folder; they are plain without it. */
  key?: Secret | null;
  /** Time that a new root is announced to connectors before it is used, milliseconds; 180 days by default. */
  overlapMs?: number;
  /** Asked where the data folder has no authority: whether one may be made. By default it may. */
  mayCreate?: () => Promise<boolean>;
  /** False while the clock may be wrong: what cannot be undone waits then. By default it is right. */
  isClockTrusted?: () => boolean;
  /** Time between looks at what is due, milliseconds; a minute by default. */
  checkIntervalMs?: number;
  /** An authority elsewhere; without it the keys are in the data folder. */
  external?: Omit<ExternalAuthoritiesOptions, "clock">;
  log: Log;
  clock?: { now(): number };
}

/** Lifetime of a connector's certificate unless told otherwise. */
export const CONNECTOR_CERTIFICATE_MS = 90 * 86_400_000;
/** How long a new root is announced unless told otherwise: who has not been here for so long must register again. */
export const OVERLAP_MS = 180 * 86_400_000;

const CHECK_INTERVAL_MS = 60_000;

/** Opens the authority in `dataDir`/ca, made at the first start, or the one elsewhere. Throws `CaError`, `CaKeyError`. */
export async function openCa(dataDir: string, options: CaOptions): Promise<Ca> {
  const {
    log,
    clock = Date,
    key = null,
    overlapMs = OVERLAP_MS,
    connectorCertificateMs = CONNECTOR_CERTIFICATE_MS,
    checkIntervalMs = CHECK_INTERVAL_MS,
    mayCreate = () => Promise.resolve(true),
    isClockTrusted = () => true,
    external,
  } = options;
  const authorities = external === undefined
    ? await FolderAuthorities.open({ dataDir, key, overlapMs, mayCreate, isClockTrusted, log, clock })
    : await ExternalAuthorities.open({ ...external, clock });
  const ca = new BrokerCa(authorities, { names: options.names, log, clock, connectorCertificateMs });
  await ca.tend();
  ca.start(checkIntervalMs);
  return ca;
}

interface Parts {
  names: readonly string[];
  log: Log;
  clock: { now(): number };
  connectorCertificateMs: number;
}

class BrokerCa implements Ca {
  readonly #authorities: Authorities;
  readonly #parts: Parts;
  readonly #names: readonly string[];
  readonly #contexts = new Map<string, ServerContext>();
  readonly #contextListeners = new Set<(context: ServerContext) => void>();
  readonly #trustListeners = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #tending: Promise<void> | null = null;

  constructor(authorities: Authorities, parts: Parts) {
    this.#authorities = authorities;
    this.#parts = parts;
    this.#names = parts.names.map((name) => name.toLowerCase());
  }

  get caFingerprint(): string {
    return certificateFingerprint(this.#authorities.state.root);
  }

  get trustAnchors(): string {
    return this.#authorities.state.anchors.map(pemOf).join("");
  }

  start(intervalMs: number): void {
    this.#timer = setInterval(() => {
      this.tend().catch((error) => {
        this.#parts.log.error("Cannot tend the certificate authority", { error: String(error) });
      });
    }, intervalMs);
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
    this.#contextListeners.add(listener);
    return () => this.#contextListeners.delete(listener);
  }

  onTrustAnchors(listener: () => void): () => void {
    this.#trustListeners.add(listener);
    return () => this.#trustListeners.delete(listener);
  }

  async tend(): Promise<void> {
    this.#tending ??= this.#tend().finally(() => this.#tending = null);
    await this.#tending;
  }

  async #tend(): Promise<void> {
    const anchors = this.trustAnchors;
    await this.#authorities.tend();
    // Whom we trust first: connectors must know a root before a certificate of ours is from it.
    if (this.trustAnchors !== anchors) { for (const listener of this.#trustListeners) listener(); }
    await this.#renewContexts();
  }

  /** What fails is tried again the next time: an authority elsewhere may be out of reach just when it changes. */
  async #renewContexts(): Promise<void> {
    const { log, clock } = this.#parts;
    const issuer = certificateFingerprint(this.#authorities.state.issuing);
    for (const name of this.#names) {
      const before = this.#contexts.get(name);
      if (before?.issuer === issuer && !isContextDue(before, clock.now())) continue;
      const context = await createServerContext(name, this.#authorities, clock.now());
      this.#contexts.set(name, context);
      if (before === undefined) continue;
      log.info("Renewed a certificate of the broker", {
        name,
        notAfter: new Date(context.notAfter).toISOString(),
      });
      for (const listener of this.#contextListeners) listener(context);
    }
  }

  async issueConnectorCertificate(connectorId: string, publicKey: KeyObject): Promise<IssuedCertificate> {
    const { clock, connectorCertificateMs } = this.#parts;
    const { issuing } = this.#authorities.state;
    const leaf = await this.#authorities.sign({
      purpose: "client",
      commonName: connectorId,
      uri: connectorUri(connectorId),
      publicKey,
      ...lifetime(clock.now(), connectorCertificateMs),
    });
    const [certificate] = readCertificates(leaf);
    return {
      pem: leaf + pemOf(issuing),
      serial: certificate.serialNumber.toLowerCase(),
      ...validity(certificate),
      publicKeySha256: publicKeySha256(certificate.publicKey),
    };
  }

  identityOf(leaf: X509Certificate): ConnectorIdentity {
    return identityOf(leaf, this.#authorities.state.issuers, this.#parts.clock.now());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#contextListeners.clear();
    this.#trustListeners.clear();
    await this.#tending?.catch(() => {});
    await this.#authorities[Symbol.asyncDispose]();
  }
}
