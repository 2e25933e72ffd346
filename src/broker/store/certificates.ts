import { connectorRow } from "./connectors.ts";
import type { Database } from "./database.ts";
import type { Store } from "./port.ts";
import { nextVersion } from "./record.ts";

/** How long a certificate is kept after it has expired, in milliseconds. */
const KEEP_EXPIRED_MS = 30 * 86_400_000;

/** The store's calls for the certificates of connectors. */
export function certificateCalls(
  database: Database,
): Pick<Store, "setConnectorCertificate" | "connectorCertificate"> {
  return {
    setConnectorCertificate: (id, { serial, notAfter, pem }) =>
      database.write(async ({ db, now, audit, notify }) => {
        const connector = await connectorRow(db, id);
        await db.deleteFrom("certificates").where("not_after", "<", now - KEEP_EXPIRED_MS).execute();
        await db.insertInto("certificates").values({
          serial,
          connector_id: id,
          issued_at: now,
          not_after: notAfter,
          pem,
          revoked_at: null,
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
  };
}
