import { z } from "@hono/zod-openapi";
import { DEFAULT_BACKEND_TLS, DEFAULT_TIMEOUTS } from "../../../protocol/app.ts";
import { isDnsName } from "../../../protocol/address.ts";
import { type App, DEFAULT_GROUP_ID } from "../../model.ts";
import { certificatesFault } from "../pem.ts";
import { checkExternalUrl, checkInternalUrl, type UrlCheck } from "../published_url.ts";
import { toTraffic, trafficAnswer, trafficInput, trafficPatch } from "./app_traffic.ts";
import { idText, nameText, recordShape, toRecord } from "./record.ts";

/** Largest timeout, in milliseconds: a day. */
const MAX_TIMEOUT_MS = 86_400_000;

const urlText = (check: (text: string) => UrlCheck) =>
  z.string().transform((text, c) => {
    const checked = check(text);
    if ("url" in checked) return checked.url;
    c.addIssue({ code: "custom", message: `URL "${text.slice(0, 200)}": ${checked.fault}` });
    return z.NEVER;
  });

const externalUrl = urlText(checkExternalUrl).openapi({
  type: "string",
  format: "uri",
  description: 'Absolute http or https URL; the host may begin with "*."; the path is a prefix.',
  example: "https://wiki.example.com/docs",
});
const internalUrl = urlText(checkInternalUrl).openapi({
  type: "string",
  format: "uri",
  description: "Where the backend is; its path replaces the external prefix.",
  example: "http://10.0.0.5:8080/wiki",
});
const externalUrls = z.array(externalUrl).min(1).max(100)
  .refine((urls) => new Set(urls).size === urls.length, "the same URL stands there twice");
const timeout = z.number().int().min(0).max(MAX_TIMEOUT_MS)
  .openapi({ description: "Milliseconds; 0: no limit." });
const ca = z.string().max(131_072).superRefine((pem, c) => {
  const fault = certificatesFault(pem);
  if (fault !== null) c.addIssue({ code: "custom", message: fault });
}).openapi({ description: "PEM certificates trusted instead of the system's." });
const serverName = z.string().toLowerCase().refine(isDnsName, "it is not a DNS name")
  .openapi({ description: "Name sent as SNI and checked, where it is not the backend's host." });
const hostHeader = z.enum(["backend", "user"])
  .openapi({ description: "Which Host the backend gets: its own or the user's." });

const minVersion = z.enum(["TLSv1.2", "TLSv1.3"]).openapi({ description: "Least version of TLS." });
const clientCertificate = z.string().max(64).regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "it is not a name")
  .openapi({
    description:
      "Name of a certificate and key in the connector's own configuration, for the backend to see.",
  });
const timeouts = {
  connectMs: timeout,
  responseHeadMs: timeout,
  idleMs: timeout,
  totalMs: timeout,
  upgradedIdleMs: timeout,
};

/** An app as the API shows it. */
export const appSchema = z.object({
  ...recordShape,
  name: z.string(),
  groupId: z.string(),
  externalUrls: z.array(z.string()),
  internalUrl: z.string(),
  enabled: z.boolean(),
  hostHeader,
  timeouts: z.object(timeouts),
  backendTls: z.object({
    validate: z.boolean(),
    ca: z.string().optional(),
    serverName: z.string().optional(),
    minVersion,
    clientCertificate: z.string().optional(),
  }),
  ...trafficAnswer,
  revision: z.number().int().openapi({
    description: "The group's configuration revision at the last change.",
  }),
  warnings: z.array(z.string()).optional().openapi({
    description:
      "What users lack to open its external URLs at this broker; absent where nothing is known to be missing.",
  }),
}).openapi("App");

/** What makes an app. */
export const appInput = z.strictObject({
  name: nameText.openapi({ example: "Wiki" }),
  groupId: idText.default(DEFAULT_GROUP_ID),
  externalUrls,
  internalUrl,
  enabled: z.boolean().default(true),
  hostHeader: hostHeader.default("backend"),
  timeouts: z.strictObject({
    connectMs: timeout.default(DEFAULT_TIMEOUTS.connectMs),
    responseHeadMs: timeout.default(DEFAULT_TIMEOUTS.responseHeadMs),
    idleMs: timeout.default(DEFAULT_TIMEOUTS.idleMs),
    totalMs: timeout.default(DEFAULT_TIMEOUTS.totalMs),
    upgradedIdleMs: timeout.default(DEFAULT_TIMEOUTS.upgradedIdleMs),
  }).default(DEFAULT_TIMEOUTS),
  backendTls: z.strictObject({
    validate: z.boolean().default(true),
    ca: ca.optional(),
    serverName: serverName.optional(),
    minVersion: minVersion.default(DEFAULT_BACKEND_TLS.minVersion),
    clientCertificate: clientCertificate.optional(),
  }).default(DEFAULT_BACKEND_TLS),
  ...trafficInput,
}).openapi("AppInput");

/** What changes an app: what is not named stays; `null` takes away `ca`, `serverName`, `clientCertificate`, `maintenance` or `healthCheck`. */
export const appPatch = z.strictObject({
  name: nameText,
  groupId: idText,
  externalUrls,
  internalUrl,
  enabled: z.boolean(),
  hostHeader,
  timeouts: z.strictObject(timeouts).partial(),
  backendTls: z.strictObject({
    validate: z.boolean(),
    ca: ca.nullable(),
    serverName: serverName.nullable(),
    minVersion,
    clientCertificate: clientCertificate.nullable(),
  }).partial(),
  ...trafficPatch,
}).partial().openapi("AppPatch");

/** Writes an app, and what its users lack. */
export function toApp(
  app: App,
  missing: (externalUrl: string) => string[] = () => [],
): z.infer<typeof appSchema> {
  const { name, groupId, externalUrls, internalUrl, enabled, hostHeader, timeouts, backendTls, revision } =
    app;
  const warnings = externalUrls.flatMap(missing);
  return {
    ...toRecord(app),
    name,
    groupId,
    externalUrls: [...externalUrls],
    internalUrl,
    enabled,
    hostHeader,
    timeouts,
    backendTls,
    ...toTraffic(app),
    revision,
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

/** An app in answers, and what makes or changes one. */
export type AppAnswer = z.infer<typeof appSchema>;
export type AppInput = z.input<typeof appInput>;
export type AppPatch = z.input<typeof appPatch>;
