import { z } from "@hono/zod-openapi";
import { DEFAULT_HEALTH_CHECK } from "../../../protocol/app.ts";
import { type AppTraffic, DEFAULT_MAINTENANCE, DEFAULT_TRAFFIC } from "../../app_traffic.ts";
import { headerChangeFault } from "../header_changes.ts";

const whole = (max: number, description: string, min = 0) =>
  z.number().int().min(min).max(max).openapi({ description });
const text = (max: number) =>
  z.string().max(max)
    // deno-lint-ignore no-control-regex -- control characters are what it refuses, but for the ends of lines
    .regex(/^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*$/, "control characters are not allowed");

const headerChange = z.strictObject({
  action: z.enum(["set", "add", "remove"]),
  name: z.string().min(1).max(256),
  value: z.string().max(4_096).optional(),
}).superRefine((change, c) => {
  const fault = headerChangeFault(change);
  if (fault !== null) c.addIssue({ code: "custom", message: fault });
}).openapi("HeaderChange");
const headerChanges = (of: string) =>
  z.array(headerChange).max(50).openapi({ description: `Changes of the headers of ${of}, in this order.` });

const maintenance = z.strictObject({
  message: text(2_000).openapi({ description: "Plain text that users see." }),
  retryAfterS: whole(31_536_000, "Seconds, for Retry-After."),
});
const cookies = z.strictObject({
  secure: z.boolean().openapi({ description: "Add Secure to cookies of users who came over https." }),
  httpOnly: z.boolean().openapi({ description: "Add HttpOnly." }),
  sameSite: z.enum(["keep", "lax", "strict", "none"]),
});
const healthCheck = z.strictObject({
  type: z.enum(["http", "tcp"]),
  path: z.string().max(1_024).regex(
    /^\/[\x21-\x22\x24-\x7e]*$/,
    'a path begins with "/" and is visible ASCII',
  ),
  intervalMs: whole(3_600_000, "Milliseconds between two checks.", 1_000),
  timeoutMs: whole(600_000, "Milliseconds that a check may take.", 100),
  healthyAfter: whole(100, "Successes in a row that make it healthy.", 1),
  unhealthyAfter: whole(100, "Failures in a row that make it unhealthy.", 1),
});

/** Fields whose parts are not named one by one. */
const simple = {
  backendProtocol: z.enum(["auto", "http1", "h2", "h2c"])
    .openapi({ description: "What is spoken with the backend; h2 is for https, h2c for http." }),
  maxRequestBytes: whole(Number.MAX_SAFE_INTEGER, "Largest body of a request; 0: no limit."),
  maxConcurrent: whole(1_000_000, "Most requests at a time; 0: no limit."),
  maxQueued: whole(1_000_000, "Most requests that wait for one of maxConcurrent."),
  requestHeaders: headerChanges("requests"),
  responseHeaders: headerChanges("responses"),
  compression: z.boolean().openapi({ description: "Compress responses." }),
  translateHeaders: z.boolean().openapi({ description: "Translate internal URLs in headers, and cookies." }),
  translateRequestHeaders: z.boolean()
    .openapi({ description: "Translate the external URL in Origin, Referer and Destination of requests." }),
  translateLinks: z.boolean().openapi({ description: "Translate internal URLs in HTML and CSS." }),
  forwardedHeader: z.boolean().openapi({ description: "Send Forwarded (RFC 7239) to the backend." }),
  balancing: z.enum(["least_in_flight", "round_robin", "latency"]),
  affinity: z.enum(["none", "cookie", "address"]),
};

/** How an app's requests are treated, in answers. */
export const trafficAnswer = {
  ...simple,
  maintenance: maintenance.nullable(),
  cookies,
  healthCheck: healthCheck.nullable(),
};

/** The same in what makes an app: what is not named has its default. */
export const trafficInput = {
  backendProtocol: simple.backendProtocol.default(DEFAULT_TRAFFIC.backendProtocol),
  maxRequestBytes: simple.maxRequestBytes.default(DEFAULT_TRAFFIC.maxRequestBytes),
  maxConcurrent: simple.maxConcurrent.default(DEFAULT_TRAFFIC.maxConcurrent),
  maxQueued: simple.maxQueued.default(DEFAULT_TRAFFIC.maxQueued),
  requestHeaders: simple.requestHeaders.default([]),
  responseHeaders: simple.responseHeaders.default([]),
  compression: simple.compression.default(DEFAULT_TRAFFIC.compression),
  translateHeaders: simple.translateHeaders.default(DEFAULT_TRAFFIC.translateHeaders),
  translateRequestHeaders: simple.translateRequestHeaders.default(DEFAULT_TRAFFIC.translateRequestHeaders),
  translateLinks: simple.translateLinks.default(DEFAULT_TRAFFIC.translateLinks),
  forwardedHeader: simple.forwardedHeader.default(DEFAULT_TRAFFIC.forwardedHeader),
  balancing: simple.balancing.default(DEFAULT_TRAFFIC.balancing),
  affinity: simple.affinity.default(DEFAULT_TRAFFIC.affinity),
  maintenance: z.strictObject({
    message: maintenance.shape.message.default(DEFAULT_MAINTENANCE.message),
    retryAfterS: maintenance.shape.retryAfterS.default(DEFAULT_MAINTENANCE.retryAfterS),
  }).nullable().default(null),
  cookies: z.strictObject({
    secure: cookies.shape.secure.default(DEFAULT_TRAFFIC.cookies.secure),
    httpOnly: cookies.shape.httpOnly.default(DEFAULT_TRAFFIC.cookies.httpOnly),
    sameSite: cookies.shape.sameSite.default(DEFAULT_TRAFFIC.cookies.sameSite),
  }).default(DEFAULT_TRAFFIC.cookies),
  healthCheck: z.strictObject({
    type: healthCheck.shape.type.default(DEFAULT_HEALTH_CHECK.type),
    path: healthCheck.shape.path.default(DEFAULT_HEALTH_CHECK.path),
    intervalMs: healthCheck.shape.intervalMs.default(DEFAULT_HEALTH_CHECK.intervalMs),
    timeoutMs: healthCheck.shape.timeoutMs.default(DEFAULT_HEALTH_CHECK.timeoutMs),
    healthyAfter: healthCheck.shape.healthyAfter.default(DEFAULT_HEALTH_CHECK.healthyAfter),
    unhealthyAfter: healthCheck.shape.unhealthyAfter.default(DEFAULT_HEALTH_CHECK.unhealthyAfter),
  }).nullable().default(null),
};

/** The same in what changes an app: what is not named stays, null ends a maintenance or the checks. */
export const trafficPatch = {
  ...simple,
  maintenance: maintenance.partial().nullable(),
  cookies: cookies.partial(),
  healthCheck: healthCheck.partial().nullable(),
};

const patch = z.object(trafficPatch).partial();

/** The nested parts of a patch with what they leave as it was. */
export function mergeTraffic(
  app: AppTraffic,
  { maintenance, cookies, healthCheck }: z.infer<typeof patch>,
): Partial<AppTraffic> {
  const merged: Partial<AppTraffic> = {};
  if (maintenance !== undefined) {
    merged.maintenance = maintenance && { ...DEFAULT_MAINTENANCE, ...app.maintenance, ...maintenance };
  }
  if (cookies !== undefined) merged.cookies = { ...app.cookies, ...cookies };
  if (healthCheck !== undefined) {
    merged.healthCheck = healthCheck && { ...DEFAULT_HEALTH_CHECK, ...app.healthCheck, ...healthCheck };
  }
  return merged;
}

/** Writes how an app's requests are treated. */
export function toTraffic(app: AppTraffic) {
  return {
    backendProtocol: app.backendProtocol,
    maxRequestBytes: app.maxRequestBytes,
    maxConcurrent: app.maxConcurrent,
    maxQueued: app.maxQueued,
    requestHeaders: [...app.requestHeaders],
    responseHeaders: [...app.responseHeaders],
    maintenance: app.maintenance,
    compression: app.compression,
    translateHeaders: app.translateHeaders,
    translateRequestHeaders: app.translateRequestHeaders,
    translateLinks: app.translateLinks,
    cookies: app.cookies,
    forwardedHeader: app.forwardedHeader,
    balancing: app.balancing,
    affinity: app.affinity,
    healthCheck: app.healthCheck,
  };
}
