import { z } from "@hono/zod-openapi";
import { PROBLEM_TYPE } from "../problem.ts";

/** A problem body (RFC 9457) as the document describes it. */
export const problemSchema = z.object({
  type: z.string().openapi({ example: "urn:sallyport:error:not_found" }),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string().openapi({ description: "See docs/errors.md.", example: "not_found" }),
  requestId: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional()
    .openapi({ description: "What is wrong with the request, and where." }),
}).openapi("Problem");

const MEANINGS = {
  400: "The request is not valid.",
  401: "No valid bearer token.",
  404: "No such record.",
  409: "It contradicts another record.",
  412: "The record has changed since it was read.",
} as const;

/** Failures of a route in the document, by status. */
export function problems<S extends keyof typeof MEANINGS>(...statuses: S[]) {
  const content = { [PROBLEM_TYPE]: { schema: problemSchema } };
  return Object.fromEntries(
    statuses.map((status) => [status, { description: MEANINGS[status], content }]),
  );
}
