import { OpenAPIHono } from "@hono/zod-openapi";
import type { AdminEnv } from "../deps.ts";
import { AdminRequestError } from "../errors.ts";

/** A part of the API: whatever does not fit its schema is refused as `invalid_request`, with the places named. */
export function createRouter(): OpenAPIHono<AdminEnv> {
  return new OpenAPIHono<AdminEnv>({
    defaultHook: (result) => {
      if (result.success) return;
      const where = PLACES[result.target] ?? result.target;
      const faults = result.error.issues.slice(0, 50).map(({ path, message }) => ({
        path: [where, ...path.map(String)].join("."),
        message,
      }));
      const first = faults[0];
      const detail = first === undefined ? "The request is not valid" : `${first.path}: ${first.message}`;
      throw new AdminRequestError("invalid_request", detail, faults);
    },
  });
}

const PLACES: Readonly<Record<string, string>> = { json: "body", param: "path" };
