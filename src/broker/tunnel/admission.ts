import type { ConnectorRecord } from "../model.ts";
import type { Store } from "../store/port.ts";
import { TunnelError } from "./errors.ts";

/**
 * The connector that a verified certificate opens tunnels for. The store has the last word: throws `TunnelError`
 * `connector_unknown`, `connector_disabled`, `certificate_unknown`, `certificate_revoked`; `StoreError`.
 */
export async function admit(
  store: Pick<Store, "getConnector" | "findCertificate">,
  { connectorId, serial }: { connectorId: string; serial: string },
): Promise<ConnectorRecord> {
  const connector = await store.getConnector(connectorId).catch((cause: { code?: string }) => {
    if (cause.code !== "not_found") throw cause;
    throw refused("connector_unknown", `connector "${connectorId}" is not known here`);
  });
  if (!connector.enabled) throw refused("connector_disabled", `connector "${connectorId}" is disabled`);
  const certificate = await store.findCertificate(serial);
  if (certificate === null || certificate.connectorId !== connectorId) {
    throw refused("certificate_unknown", `certificate "${serial}" is not on record for "${connectorId}"`);
  }
  if (certificate.revokedAt !== null) {
    throw refused("certificate_revoked", `certificate "${serial}" is revoked`);
  }
  return connector;
}

function refused(code: AdmissionCode, state: string): TunnelError {
  return new TunnelError(code, `Cannot open tunnel: ${state}`);
}

/** Why a connector's access has ended, or never began. */
export type AdmissionCode =
  | "connector_unknown"
  | "connector_disabled"
  | "certificate_unknown"
  | "certificate_revoked";

const ADMISSION_CODES: ReadonlySet<unknown> = new Set<AdmissionCode>([
  "connector_unknown",
  "connector_disabled",
  "certificate_unknown",
  "certificate_revoked",
]);

/** The reason, where an error of `admit` is one of these. */
export function admissionCode(error: unknown): AdmissionCode | null {
  const { code } = (error ?? {}) as { code?: unknown };
  return ADMISSION_CODES.has(code) ? code as AdmissionCode : null;
}
