import { verify } from "node:crypto";
import { readCertificates } from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import { reenrolmentProof, type ReenrolmentRequest } from "../../protocol/reenrolment.ts";
import type { CertificateRecord, ConnectorRecord } from "../model.ts";
import type { Store } from "../store/port.ts";
import { EnrolmentRefusal } from "./errors.ts";
import { type Issuer, readRequestedKey } from "./issuer.ts";
import type { Nonces } from "./nonces.ts";

/** What coming back needs of the rest of the broker. */
export interface ReenrolmentParts {
  store: Pick<Store, "findCertificate" | "isSuperseded" | "getConnector" | "getSettings">;
  nonces: Nonces;
  issuer: Issuer;
  clock: { now(): number };
  log: Log;
}

const DAY_MS = 86_400_000;

/**
 * Gives a connector that was off when its certificate expired another one, for a new key: where it proves the old key,
 * nothing of it was revoked, and the administrator allows it. Nothing of a connector is told before the proof is good.
 * Throws `EnrolmentRefusal`, `StoreError`.
 */
export async function reenrol(
  parts: ReenrolmentParts,
  request: ReenrolmentRequest,
): Promise<{ connectorId: string; certificate: string }> {
  const { store, nonces, issuer, clock, log } = parts;
  const { serial, nonce } = request;
  if (!nonces.isGood(nonce, clock.now())) throw staleNonce();
  const certificate = await store.findCertificate(serial);
  if (certificate === null) {
    throw refusal("certificate_unknown", `certificate "${serial}" is not on record here`);
  }
  const { publicKey } = readCertificates(certificate.pem)[0];
  const signature = Buffer.from(request.signature, "base64");
  if (!verify("sha256", reenrolmentProof(request), publicKey, signature)) {
    throw refusal("proof_invalid", "the request is not signed with the key of its certificate");
  }
  if (!nonces.spend(nonce, clock.now())) throw staleNonce();

  const { id } = await checkConnector(parts, certificate);
  await checkGrace(parts, certificate);
  if (await store.isSuperseded(serial)) {
    throw refusal(
      "certificate_superseded",
      `connector "${id}" has used a later certificate than "${serial}"`,
    );
  }
  const pem = await issuer.certificate(id, await readRequestedKey(request.csr), serial);
  const hasExpired = certificate.notAfter <= clock.now();
  log.info(`Connector came back with ${hasExpired ? "an expired" : "a good"} certificate`, {
    connector: id,
    serial,
    notAfter: new Date(certificate.notAfter).toISOString(),
  });
  return { connectorId: id, certificate: pem };
}

async function checkConnector(
  { store }: ReenrolmentParts,
  { connectorId, serial, revokedAt }: CertificateRecord,
): Promise<ConnectorRecord> {
  const connector = await store.getConnector(connectorId).catch((cause: { code?: string }) => {
    if (cause.code !== "not_found") throw cause;
    throw refusal("connector_unknown", `connector "${connectorId}" was deleted`);
  });
  if (!connector.enabled) throw refusal("connector_disabled", `connector "${connectorId}" is disabled`);
  if (revokedAt !== null) throw refusal("certificate_revoked", `certificate "${serial}" is revoked`);
  return connector;
}

async function checkGrace(
  { store, clock }: ReenrolmentParts,
  { notAfter }: CertificateRecord,
): Promise<void> {
  const now = clock.now();
  if (now < notAfter) return; // As good as a renewal through a tunnel.
  const { reenrolment, reenrolmentGraceDays } = (await store.getSettings()).settings;
  const ended = new Date(notAfter).toISOString();
  if (!reenrolment) {
    throw refusal("reenrolment_off", `its certificate ended at ${ended}, and coming back is switched off`);
  }
  if (now < notAfter + reenrolmentGraceDays * DAY_MS) return;
  const state = `its certificate ended at ${ended}, more than ${reenrolmentGraceDays} days ago`;
  throw refusal("reenrolment_late", state);
}

function staleNonce(): EnrolmentRefusal {
  return new EnrolmentRefusal(
    "nonce_invalid",
    403,
    "Cannot let this connector come back: the nonce is not good any more",
    {
      retryAfter: 1,
    },
  );
}

function refusal(code: EnrolmentRefusal["code"], state: string): EnrolmentRefusal {
  return new EnrolmentRefusal(code, 403, `Cannot let this connector come back: ${state}`);
}
