import { z } from "@hono/zod-openapi";
import { type AdminToken, DEFAULT_GROUP_ID, type EnrolmentToken, type Timestamp } from "../../model.ts";
import { idText, line, moment, nameText, recordShape, toMoment, toMomentOrNull, toRecord } from "./record.ts";

const DAY_S = 86_400;

const network = z.union([z.cidrv4(), z.cidrv6()], {
  error: "expected a network such as 10.0.0.0/8 or fd00::/8",
});

/** An enrolment token as the API shows it: never its secret. */
export const enrolmentTokenSchema = z.object({
  ...recordShape,
  description: z.string(),
  groupId: z.string(),
  status: z.enum(["live", "used", "expired", "revoked"]),
  maxUses: z.number().int(),
  uses: z.number().int(),
  expiresAt: moment,
  revokedAt: moment.nullable(),
  machineName: z.string().nullable().openapi({ description: "The only machine that may use it; null: any." }),
  networks: z.array(z.string()).openapi({ description: "Networks it may be used from; empty: any." }),
  connectorId: z.string().nullable().openapi({
    description: "The connector that it lets register again; null: it makes new connectors.",
  }),
}).openapi("EnrolmentToken");

/** The one answer that holds the token itself. */
export const newEnrolmentTokenSchema = enrolmentTokenSchema.extend({
  token: z.string().openapi({ description: "Shown once: give it to `sallyport-connector register`." }),
}).openapi("NewEnrolmentToken");

const maxUses = z.number().int().min(1).max(10_000);
const ttlSeconds = z.number().int().min(60).max(365 * DAY_S);
const machineName = line(255).pipe(z.string().min(1)).nullable();
const networks = z.array(network).max(64);

const MACHINE = "The only machine that may use it, by the name that it registers with.";
const NETWORKS = "CIDR networks that it may be used from, as the broker sees the address.";

/** What makes an enrolment token. */
export const enrolmentTokenInput = z.strictObject({
  description: line(200).default(""),
  groupId: idText.optional().openapi({
    description: `The group of new connectors; \`${DEFAULT_GROUP_ID}\` without it.`,
  }),
  maxUses: maxUses.default(1),
  ttlSeconds: ttlSeconds.default(DAY_S).openapi({ description: "Seconds until it expires." }),
  machineName: machineName.default(null).openapi({ description: MACHINE }),
  networks: networks.default([]).openapi({ description: NETWORKS }),
  connectorId: idText.nullable().default(null).openapi({
    description:
      "A connector that is to register again, with its id and group; its certificates are revoked then.",
  }),
}).refine(({ groupId, connectorId }) => groupId === undefined || connectorId === null, {
  path: ["groupId"],
  error: "a connector that registers again stays in its group; leave this out",
}).openapi("EnrolmentTokenInput");

/** What changes an enrolment token: what is not named stays. */
export const enrolmentTokenPatch = z.strictObject({
  description: line(200),
  maxUses: maxUses.openapi({ description: "Not fewer than it has had." }),
  ttlSeconds: ttlSeconds.openapi({ description: "Seconds from now until it expires." }),
  machineName: machineName.openapi({ description: `${MACHINE} null: any.` }),
  networks: networks.openapi({ description: `${NETWORKS} Empty: any.` }),
}).partial().openapi("EnrolmentTokenPatch");

/** Writes an enrolment token. */
export function toEnrolmentToken(
  token: EnrolmentToken,
  now: Timestamp,
): z.infer<typeof enrolmentTokenSchema> {
  const { description, groupId, maxUses, uses, expiresAt, revokedAt } = token;
  return {
    ...toRecord(token),
    description,
    groupId,
    status: statusOf(token, now),
    maxUses,
    uses,
    expiresAt: toMoment(expiresAt),
    revokedAt: toMomentOrNull(revokedAt),
    machineName: token.machineName,
    networks: [...token.networks],
    connectorId: token.connectorId,
  };
}

function statusOf(token: EnrolmentToken, now: Timestamp): "live" | "used" | "expired" | "revoked" {
  if (token.revokedAt !== null) return "revoked";
  if (token.uses >= token.maxUses) return "used";
  return token.expiresAt <= now ? "expired" : "live";
}

/** An admin token as the API shows it: never the token itself. */
export const adminTokenSchema = z.object({
  ...recordShape,
  name: z.string(),
  lastUsedAt: moment.nullable(),
  revokedAt: moment.nullable(),
}).openapi("AdminToken");

/** The one answer that holds the token itself. */
export const newAdminTokenSchema = adminTokenSchema.extend({
  token: z.string().openapi({ description: "Shown once: the bearer token." }),
}).openapi("NewAdminToken");

/** What makes an admin token. */
export const adminTokenInput = z.strictObject({ name: nameText }).openapi("AdminTokenInput");

/** Writes an admin token. */
export function toAdminToken(token: AdminToken): z.infer<typeof adminTokenSchema> {
  return {
    ...toRecord(token),
    name: token.name,
    lastUsedAt: toMomentOrNull(token.lastUsedAt),
    revokedAt: toMomentOrNull(token.revokedAt),
  };
}

/** Tokens in answers; the new ones with their text. */
export type EnrolmentTokenAnswer = z.infer<typeof enrolmentTokenSchema>;
export type NewEnrolmentTokenAnswer = z.infer<typeof newEnrolmentTokenSchema>;
export type AdminTokenAnswer = z.infer<typeof adminTokenSchema>;
export type NewAdminTokenAnswer = z.infer<typeof newAdminTokenSchema>;
