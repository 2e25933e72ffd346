import { z } from "@hono/zod-openapi";
import type { StoredRecord, Timestamp } from "../../model.ts";
import { etagOf } from "../etag.ts";

/** A moment in answers: RFC 3339, UTC. */
export const moment = z.string().openapi({ format: "date-time", example: "2030-01-31T12:00:00.000Z" });

/** Writes a moment. */
export const toMoment = (at: Timestamp): string => new Date(at).toISOString();

/** Writes a moment that may not have come yet. */
export const toMomentOrNull = (at: Timestamp | null): string | null => at === null ? null : toMoment(at);

/** What every record's answer begins with. */
export const recordShape = {
  id: z.string().openapi({ description: "Identifies the record for ever." }),
  etag: z.string().openapi({ description: "Changes with each change: for If-Match.", example: '"3"' }),
  createdAt: moment,
  updatedAt: moment,
};

/** The common part of a record's answer. */
export function toRecord({ id, version, createdAt, updatedAt }: StoredRecord) {
  return { id, etag: etagOf(version), createdAt: toMoment(createdAt), updatedAt: toMoment(updatedAt) };
}

// deno-lint-ignore no-control-regex -- control characters are what it refuses: they would end up in logs and tables
const PRINTABLE = /^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/;

/** Text for people on one line. */
export const line = (max: number) =>
  z.string().max(max).regex(PRINTABLE, "control characters are not allowed").trim();

/** A record's name. */
export const nameText = line(100).pipe(z.string().min(1));

/** An id in a path or body. */
export const idText = z.string().min(1).max(128).regex(/^[A-Za-z0-9_-]+$/);

/** The id in a record's path. */
export const idParam = z.object({
  id: idText.openapi({ param: { name: "id", in: "path" }, description: "The record's id." }),
});

/** The header that makes a change conditional. */
export const ifMatchHeader = z.object({
  "if-match": z.string().max(1_000).optional()
    .openapi({
      description: "ETag of the version that the change is meant for: 412 when it is another now.",
    }),
});
