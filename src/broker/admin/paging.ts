import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Page } from "../store/port.ts";

/** Records in one page when the caller does not say, and at most. */
export const DEFAULT_LIMIT = 100;
export const MAX_LIMIT = 1_000;

/** Query parameters of every list. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT)
    .openapi({ description: "Records in a page.", example: DEFAULT_LIMIT }),
  cursor: z.string().min(1).max(512).optional()
    .openapi({ description: "Where to go on: `next` of the page before." }),
};

/** The body of a list: one page and the way to the next. */
export function pageOf<T extends z.ZodType>(name: string, item: T) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().openapi({ description: "Cursor of the next page; null on the last." }),
  }).openapi(name);
}

/**
 * The body of a list's answer, with the records of a page as they are shown. Sets `Link: <...>; rel="next"` (RFC 8288),
 * keeping the request's other parameters.
 */
export function pageAnswer<T>(
  c: Context,
  { next }: Page<unknown>,
  items: T[],
): { items: T[]; next: string | null } {
  if (next !== null) {
    const url = new URL(c.req.url);
    url.searchParams.set("cursor", next);
    c.header("Link", `<${url.pathname}${url.search}>; rel="next"`);
  }
  return { items, next };
}
