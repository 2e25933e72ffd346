import { isDeepStrictEqual } from "node:util";
import type { Actor, EnrolmentToken, Timestamp } from "../model.ts";
import { parseCidrList } from "../listener/address.ts";
import { toConnector } from "./connectors.ts";
import type { Database, Queries } from "./database.ts";
import { checkVersion, notFound, StoreError, TokenRefusedError } from "./errors.ts";
import { groupRow } from "./groups.ts";
import { rowsToAsk, toPage } from "./page.ts";
import type { EnrolmentTokenPatch, NewConnector, Store } from "./port.ts";
import { newRecord, nextVersion, toRecord } from "./record.ts";
import type { ConnectorTable, EnrolmentTokenTable } from "./schema.ts";

/** The store's calls for enrolment tokens and their use. */
export function enrolmentCalls(
  database: Database,
): Pick<
  Store,
  | "listEnrolmentTokens"
  | "getEnrolmentToken"
  | "createEnrolmentToken"
  | "updateEnrolmentToken"
  | "revokeEnrolmentToken"
  | "enrolConnector"
> {
  return {
    listEnrolmentTokens: (query) =>
      database.read(async (db) => {
        const rows = await db.selectFrom("enrolment_tokens").selectAll().where("id", ">", query.cursor ?? "")
          .orderBy("id").limit(rowsToAsk(query)).execute();
        return toPage(rows, query, toToken);
      }),

    getEnrolmentToken: (id) => database.read(async (db) => toToken(await tokenRow(db, id))),

    createEnrolmentToken: (actor, { description, expiresAt, maxUses, secretSha256, ...token }) =>
      database.write(async ({ db, now, createId, audit }) => {
        const { machineName = null, networks = [], connectorId = null } = token;
        const groupId = connectorId === null
          ? token.groupId
          : (await boundConnector(db, connectorId)).group_id;
        await groupRow(db, groupId);
        const row: EnrolmentTokenTable = {
          ...newRecord(createId(), now),
          description,
          group_id: groupId,
          expires_at: expiresAt,
          max_uses: maxUses,
          uses: 0,
          revoked_at: null,
          secret_sha256: secretSha256,
          machine_name: machineName,
          networks: JSON.stringify(networks),
          connector_id: connectorId,
        };
        await db.insertInto("enrolment_tokens").values(row).execute();
        await audit(actor, "token.create", row.id, {
          description,
          groupId,
          expiresAt,
          maxUses,
          ...(machineName === null ? {} : { machineName }),
          ...(networks.length === 0 ? {} : { networks }),
          ...(connectorId === null ? {} : { connectorId }),
        });
        return toToken(row);
      }),

    updateEnrolmentToken: (actor, id, patch, expectedVersion) =>
      database.write(async ({ db, now, audit }) => {
        const row = await tokenRow(db, id);
        checkVersion("enrolment token", row, expectedVersion);
        if (row.revoked_at !== null) {
          throw new TokenRefusedError("token_revoked", `Cannot change token "${id}": it is revoked`, id);
        }
        const before = toToken(row);
        const details = whatDiffers(before, patch);
        if (Object.keys(details).length === 0) return before;
        const { description, expiresAt, maxUses, machineName, networks } = { ...before, ...details };
        if (maxUses < row.uses) throw fewerUses(row, maxUses);
        const changed = {
          description,
          expires_at: expiresAt,
          max_uses: maxUses,
          machine_name: machineName,
          networks: JSON.stringify(networks),
          ...nextVersion(row, now),
        };
        await db.updateTable("enrolment_tokens").set(changed).where("id", "=", id).execute();
        await audit(actor, "token.update", id, details);
        return toToken({ ...row, ...changed });
      }),

    revokeEnrolmentToken: (actor, id) =>
      database.write(async ({ db, now, audit }) => {
        const row = await tokenRow(db, id);
        if (row.revoked_at !== null) return toToken(row);
        const changed = { revoked_at: now, ...nextVersion(row, now) };
        await db.updateTable("enrolment_tokens").set(changed).where("id", "=", id).execute();
        await audit(actor, "token.revoke", id, { revokedAt: now });
        return toToken({ ...row, ...changed });
      }),

    enrolConnector: (secretSha256, connector, now) =>
      database.write(async ({ db, createId, audit, notify }) => {
        const token = await liveToken(db, secretSha256, now);
        checkBounds(token, connector);
        const known = await db.selectFrom("connectors").selectAll()
          .where("public_key_sha256", "=", connector.publicKeySha256).executeTakeFirst();
        if (known?.enrolment_token_id === token.id) return toConnector(enabled(known));
        checkUsesLeft(token);
        const { connector_id } = token;
        if (known !== undefined) {
          if (connector_id !== null && known.id !== connector_id) throw keyTaken(connector_id, known.id);
          return toConnector(enabled(known));
        }
        const use = () =>
          db.updateTable("enrolment_tokens").set({ uses: token.uses + 1, ...nextVersion(token, now) })
            .where("id", "=", token.id).execute();

        if (connector_id !== null) {
          const before = enabled(await boundConnector(db, connector_id));
          const after: ConnectorTable = {
            ...before,
            ...nextVersion(before, now),
            machine_name: connector.machineName,
            os: connector.os,
            software_version: connector.softwareVersion,
            external_ip: connector.externalIp,
            public_key_sha256: connector.publicKeySha256,
            trusted_roots: "[]", // Of its state folder of before.
            enrolment_token_id: token.id,
          };
          await db.updateTable("connectors").set(after).where("id", "=", connector_id).execute();
          const revoked = await db.updateTable("certificates")
            .set({ revoked_at: now, revocation_reason: "the connector registered again" })
            .where("connector_id", "=", connector_id).where("revoked_at", "is", null).returning("serial")
            .execute();
          await use();
          const { machineName } = connector;
          const who: Actor = { kind: "connector", id: connector_id, address: connector.externalIp };
          await audit(who, "connector.register_again", connector_id, { tokenId: token.id, machineName });
          notify({ kind: "connector", id: connector_id, what: "updated" });
          for (const { serial } of revoked) {
            notify({ kind: "certificate", serial, connectorId: connector_id, what: "revoked" });
          }
          return toConnector(after);
        }

        const row: ConnectorTable = {
          ...newRecord(createId(), now),
          group_id: token.group_id,
          machine_name: connector.machineName,
          os: connector.os,
          software_version: connector.softwareVersion,
          external_ip: connector.externalIp,
          enabled: 1,
          last_seen_at: null,
          absent_ms: 0,
          trusted_roots: "[]",
          certificate_serial: "",
          certificate_not_after: 0,
          public_key_sha256: connector.publicKeySha256,
          enrolment_token_id: token.id,
        };
        await db.insertInto("connectors").values(row).execute();
        await use();
        const actor: Actor = { kind: "connector", id: row.id, address: connector.externalIp };
        const { machineName, os, softwareVersion } = connector;
        const details = { tokenId: token.id, groupId: token.group_id, machineName, os, softwareVersion };
        await audit(actor, "connector.enrol", row.id, details);
        notify({ kind: "connector", id: row.id, what: "created" });
        return toConnector(row);
      }),
  };
}

async function tokenRow(db: Queries, id: string): Promise<EnrolmentTokenTable> {
  const row = await db.selectFrom("enrolment_tokens").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) throw notFound("enrolment token", id);
  return row;
}

/** The part of a patch that would change the token. */
function whatDiffers(token: EnrolmentToken, patch: EnrolmentTokenPatch): EnrolmentTokenPatch {
  return Object.fromEntries(
    Object.entries(patch).filter(([name, value]) =>
      value !== undefined && !isDeepStrictEqual(value, token[name as keyof EnrolmentTokenPatch])
    ),
  );
}

function fewerUses({ id, uses }: EnrolmentTokenTable, maxUses: number): StoreError {
  return new StoreError(
    "value_invalid",
    `Cannot let token "${id}" be used ${maxUses} time(s): it has been used ${uses} time(s) already`,
    { details: { tokenId: id, uses, maxUses } },
  );
}

/** The token with this secret, neither revoked nor expired. */
async function liveToken(db: Queries, secretSha256: string, now: Timestamp): Promise<EnrolmentTokenTable> {
  const token = await db.selectFrom("enrolment_tokens").selectAll().where("secret_sha256", "=", secretSha256)
    .executeTakeFirst();
  if (token === undefined) throw new TokenRefusedError("token_unknown", "Cannot enrol: the token is unknown");
  if (token.revoked_at !== null) {
    throw new TokenRefusedError("token_revoked", `Cannot enrol: token "${token.id}" is revoked`, token.id);
  }
  if (token.expires_at <= now) {
    throw new TokenRefusedError("token_expired", `Cannot enrol: token "${token.id}" has expired`, token.id);
  }
  return token;
}

/** The connector that a token is bound to. Throws `connector_unknown`. */
async function boundConnector(db: Queries, id: string): Promise<ConnectorTable> {
  const row = await db.selectFrom("connectors").selectAll().where("id", "=", id).executeTakeFirst();
  if (row === undefined) {
    throw new TokenRefusedError(
      "connector_unknown",
      `Cannot register connector "${id}" again: it does not exist`,
    );
  }
  return row;
}

/** Throws `connector_disabled`: a refusal must leave token and certificates as they are. */
function enabled(connector: ConnectorTable): ConnectorTable {
  if (connector.enabled === 1) return connector;
  throw new TokenRefusedError("connector_disabled", `Cannot enrol: connector "${connector.id}" is disabled`);
}

function keyTaken(wanted: string, owner: string): TokenRefusedError {
  return new TokenRefusedError(
    "key_taken",
    `Cannot register connector "${wanted}" again: the key is that of connector "${owner}"`,
  );
}

function checkBounds(token: EnrolmentTokenTable, { machineName, externalIp }: NewConnector): void {
  const { id, machine_name: wanted } = token;
  const networks: string[] = JSON.parse(token.networks);
  if (networks.length > 0 && !parseCidrList(networks).contains(externalIp)) {
    throw new TokenRefusedError(
      "token_wrong_network",
      `Cannot enrol: token "${id}" may not be used from address "${externalIp}"`,
      id,
    );
  }
  if (wanted !== null && wanted.toLowerCase() !== machineName.toLowerCase()) {
    throw new TokenRefusedError(
      "token_wrong_machine",
      `Cannot enrol: token "${id}" is for another machine than "${machineName}"`,
      id,
    );
  }
}

function checkUsesLeft({ id, uses, max_uses }: EnrolmentTokenTable): void {
  if (uses < max_uses) return;
  throw new TokenRefusedError(
    "token_used",
    `Cannot enrol: token "${id}" is used up (${uses} of ${uses}); make another: sallyport-broker token create`,
    id,
  );
}

function toToken(row: EnrolmentTokenTable): EnrolmentToken {
  return {
    ...toRecord(row),
    description: row.description,
    groupId: row.group_id,
    expiresAt: row.expires_at,
    maxUses: row.max_uses,
    uses: row.uses,
    revokedAt: row.revoked_at,
    machineName: row.machine_name,
    networks: JSON.parse(row.networks),
    connectorId: row.connector_id,
  };
}
