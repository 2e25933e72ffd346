import { z } from "@hono/zod-openapi";
import type { CertificateRecord } from "../../model.ts";
import { line, moment, toMoment, toMomentOrNull } from "./record.ts";

/** A connector's certificate as the API shows it. */
export const certificateSchema = z.object({
  serial: z.string().openapi({ description: "Lower-case hex." }),
  connectorId: z.string().openapi({ description: "The connector may be gone." }),
  issuedAt: moment,
  notBefore: moment,
  notAfter: moment,
  publicKeySha256: z.string(),
  usedAt: moment.nullable().openapi({ description: "When a tunnel was first opened with it." }),
  revokedAt: moment.nullable(),
  revocationReason: z.string().nullable(),
}).openapi("Certificate");

/** The serial number in a certificate's path. */
export const serialParam = z.object({
  serial: z.string().regex(/^[0-9a-f]{2,64}$/).openapi({
    param: { name: "serial", in: "path" },
    description: "Serial number, lower-case hex.",
  }),
});

/** What may be said of a revocation. */
export const revocationQuery = z.strictObject({
  reason: line(200).default("").openapi({ description: "For the list and the audit." }),
});

/** Writes a certificate. */
export function toCertificate(record: CertificateRecord): z.infer<typeof certificateSchema> {
  return {
    ...record,
    issuedAt: toMoment(record.issuedAt),
    notBefore: toMoment(record.notBefore),
    notAfter: toMoment(record.notAfter),
    usedAt: toMomentOrNull(record.usedAt),
    revokedAt: toMomentOrNull(record.revokedAt),
  };
}

/** A certificate in answers. */
export type CertificateAnswer = z.infer<typeof certificateSchema>;
