import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { SallyportError } from "../../platform/error.ts";
import type { Log } from "../../platform/log.ts";
import type { AdminEnv } from "./deps.ts";
import { AdminRequestError, type Fault } from "./errors.ts";

/** Media type of RFC 9457. */
export const PROBLEM_TYPE = "application/problem+json";

/** A problem body (RFC 9457). `type` is made of `code`, which docs/errors.md explains. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  requestId: string;
  errors?: readonly Fault[];
}

/** Status and title of each code that a caller may see; any other failure is ours and says nothing of its inside. */
const PROBLEMS: Readonly<Record<string, readonly [ContentfulStatusCode, string]>> = {
  unauthorized: [401, "A valid bearer token is needed"],
  invalid_request: [400, "The request is not valid"],
  value_invalid: [400, "The request is not valid"],
  body_too_large: [413, "The request body is too large"],
  media_type_unsupported: [415, "The body has to be JSON"],
  route_unknown: [404, "There is no such resource"],
  method_not_allowed: [405, "The resource does not have this method"],
  not_found: [404, "There is no such record"],
  connector_unknown: [404, "There is no such connector"],
  version_conflict: [412, "The record has changed since it was read"],
  name_taken: [409, "The name is in use"],
  url_taken: [409, "The external URL is in use"],
  group_not_empty: [409, "The group still has members"],
  group_undeletable: [409, "This group always exists"],
  token_revoked: [409, "The enrolment token is revoked"],
  admin_token_last: [409, "Nobody could get in any more"],
  store_unavailable: [503, "The store does not answer"],
};

const INTERNAL = [500, "Something went wrong inside the broker"] as const;

/** The one place where an error becomes a response. Unknown ones are logged whole and answered without detail. */
export function problemResponse(error: unknown, c: Context<AdminEnv>, log: Log): Response {
  const known = normalize(error);
  const requestId = c.get("requestId");
  const [status, title] = known === null ? INTERNAL : PROBLEMS[known.code]!;
  const code = known?.code ?? "internal_error";
  const { method, path } = c.req; // Without its query, which may hold secrets.
  if (status >= 500) log.error("Admin request failed", { requestId, method, path, error });
  else log.debug("Admin request refused", { requestId, method, path, status, code });
  const problem: Problem = {
    type: `urn:sallyport:error:${code}`,
    title,
    status,
    detail: known?.message ?? `The broker's log says more under request id ${requestId}`,
    code,
    requestId,
  };
  if (known instanceof AdminRequestError && known.faults.length > 0) problem.errors = known.faults;
  if (status === 503) c.header("Retry-After", "1");
  return c.json(problem, status, { "Content-Type": PROBLEM_TYPE });
}

/** The error under one of the codes above, or null. */
function normalize(error: unknown): SallyportError | null {
  if (error instanceof HTTPException) return fromHono(error);
  return error instanceof SallyportError && Object.hasOwn(PROBLEMS, error.code) ? error : null;
}

/** Hono itself throws these: for a body that is no JSON and for a wrong media type. */
function fromHono(error: HTTPException): SallyportError | null {
  if (error.status === 415) {
    return new AdminRequestError("media_type_unsupported", 'Send "Content-Type: application/json"');
  }
  if (error.status === 400) return new AdminRequestError("invalid_request", "The body is not valid JSON");
  return null;
}
