import { z } from "@hono/zod-openapi";

const etag = { ETag: { schema: { type: "string" as const }, description: "The record's version." } };
const link = { Link: { schema: { type: "string" as const }, description: 'The next page, `rel="next"`.' } };
const location = { Location: { schema: { type: "string" as const }, description: "The new record." } };

const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

/** An answer with one record. */
export const answers = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: json(schema),
  headers: etag,
});

/** An answer with a new record. */
export const creates = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: json(schema),
  headers: { ...etag, ...location },
});

/** An answer with one page of records. */
export const lists = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: json(schema),
  headers: link,
});

/** The JSON body of a request. */
export const takes = <T extends z.ZodType>(schema: T) => ({ required: true as const, content: json(schema) });
