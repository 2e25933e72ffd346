import type { CertificateRecord } from "../model.ts";
import { connectorRow } from "./connectors.ts";
import type { Database, Queries } from "./database.ts";
import { notFound, StoreError } from "./errors.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { Store } from "./port.ts";
import { nextVersion } from "./record.ts";
import type { CertificateTable } from "./schema.ts";

/** How long a certificate is kept after it has expired, in milliseconds: longer than any grace for coming back. */
const KEEP_EXPIRED_MS = 400 * 86_400_000;

/** The store's calls for the certificates of connectors. */
export function certificateCalls(
  database: Database,
): Pick<
  Store,
  | "setConnectorCertificate"
  | "connectorCertificate"
  | "certificateForKey"
  | "findCertificate"
  | "isSuperseded"
  | "listCertificates"
  | "revokeCertificate"
> {
  return {
    setConnectorCertificate: (id, { serial, notBefore, notAfter, publicKeySha256, pem }, vouchedBy) =>
      database.write(async ({ db, now, audit, notify }) => {
        const connector = await connectorRow(db, id);
        if (vouchedBy !== undefined) await checkVoucher(db, vouchedBy);
        if (database.mayForget()) {
          await db.deleteFrom("certificates").where("not_after", "<", now - KEEP_EXPIRED_MS).execute();
        }
        await db.insertInto("certificates").values({
          serial,
          connector_id: id,
          issued_at: now,
          not_before: notBefore,
          not_after: notAfter,
          pem,
          public_key_sha256: publicKeySha256,
          used_at: null,
          revoked_at: null,
          revocation_reason: null,
        }).execute();
        await db.updateTable("connectors").set({
          certificate_serial: serial,
          certificate_not_after: notAfter,
          ...nextVersion(connector, now),
        }).where("id", "=", id).execute();
        await audit({ kind: "connector", id }, "connector.certificate", id, { serial, notAfter });
        notify({ kind: "connector", id, what: "updated" });
      }),

    connectorCertificate: (id) =>
      database.read(async (db) => {
        const { certificate_serial } = await connectorRow(db, id);
        const row = await db.selectFrom("certificates").select("pem").where("serial", "=", certificate_serial)
          .executeTakeFirst();
        return row?.pem ?? null;
      }),

    certificateForKey: (id, publicKeySha256) =>
      database.read(async (db) => {
        const rows = await db.selectFrom("certificates").selectAll().where("connector_id", "=", id)
          .where("public_key_sha256", "=", publicKeySha256).orderBy("not_after", "desc").execute();
        const revoked = rows.find(({ revoked_at }) => revoked_at !== null);
        if (revoked !== undefined) throw keyRevoked(revoked.serial);
        // One of the future was issued when the clock was ahead.
        return rows.find(({ not_before }) => not_before <= database.now())?.pem ?? null;
      }),

    findCertificate: (serial) =>
      database.read(async (db) => {
        const row = await certificateRow(db, serial);
        return row === undefined ? null : { ...toCertificate(row), pem: row.pem };
      }),

    isSuperseded: (serial) =>
      database.read(async (db) => {
        const row = await certificateRow(db, serial);
        if (row === undefined) return false;
        const later = await db.selectFrom("certificates").select("serial")
          .where("connector_id", "=", row.connector_id).where("serial", "!=", serial)
          .where("issued_at", ">=", row.issued_at).where("used_at", "is not", null).executeTakeFirst();
        return later !== undefined;
      }),

    listCertificates: (query) =>
      database.read(async (db) => {
        let rows = db.selectFrom("certificates").selectAll().where("serial", ">", query.cursor ?? "");
        if (query.connectorId !== undefined) rows = rows.where("connector_id", "=", query.connectorId);
        if (query.revoked !== undefined) {
          rows = rows.where("revoked_at", query.revoked ? "is not" : "is", null);
        }
        const found = await rows.orderBy("serial").limit(rowsToAsk(query)).execute();
        return toPage(found.map((row) => ({ ...row, id: row.serial })), query, toCertificate);
      }),

    revokeCertificate: (actor, serial, reason) =>
      database.write(async ({ db, now, audit, notify }) => {
        const row = await certificateRow(db, serial);
        if (row === undefined) throw notFound("certificate", serial);
        if (row.revoked_at !== null) return toCertificate(row);
        const changed = { revoked_at: now, revocation_reason: reason };
        await db.updateTable("certificates").set(changed).where("serial", "=", serial).execute();
        await audit(actor, "certificate.revoke", serial, { connectorId: row.connector_id, reason });
        notify({ kind: "certificate", serial, connectorId: row.connector_id, what: "revoked" });
        return toCertificate({ ...row, ...changed });
      }),
  };
}

async function certificateRow(db: Queries, serial: string): Promise<CertificateTable | undefined> {
  return await db.selectFrom("certificates").selectAll().where("serial", "=", serial).executeTakeFirst();
}

async function checkVoucher(db: Queries, serial: string): Promise<void> {
  const row = await certificateRow(db, serial);
  if (row === undefined || row.revoked_at !== null) throw keyRevoked(serial);
}

function keyRevoked(serial: string): StoreError {
  return new StoreError(
    "certificate_revoked",
    `Cannot issue a certificate: the key's certificate "${serial}" is revoked`,
    { details: { serial } },
  );
}

function toCertificate(row: CertificateTable): CertificateRecord {
  return {
    serial: row.serial,
    connectorId: row.connector_id,
    issuedAt: row.issued_at,
    notBefore: row.not_before,
    notAfter: row.not_after,
    publicKeySha256: row.public_key_sha256,
    usedAt: row.used_at,
    revokedAt: row.revoked_at,
    revocationReason: row.revocation_reason,
  };
}
