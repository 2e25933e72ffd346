import { z } from "@hono/zod-openapi";
import type { AuditEntry } from "../../model.ts";
import { moment, toMoment } from "./record.ts";

/** An audit entry as the API shows it. */
export const auditSchema = z.object({
  id: z.number().int(),
  at: moment,
  actor: z.object({
    kind: z.enum(["admin", "connector", "system"]),
    id: z.string(),
    address: z.string().optional(),
  }),
  action: z.string().openapi({ example: "app.create" }),
  target: z.string().openapi({ description: "Id of what was changed." }),
  details: z.record(z.string(), z.unknown()),
}).openapi("AuditEntry");

/** Writes an audit entry. */
export function toAudit(entry: AuditEntry): z.infer<typeof auditSchema> {
  return { ...entry, at: toMoment(entry.at), details: { ...entry.details } };
}

/** An audit entry in answers. */
export type AuditAnswer = z.infer<typeof auditSchema>;
