import { z } from "@hono/zod-openapi";
import { DEFAULT_TIMEOUTS } from "../../../protocol/app.ts";
import { isDnsName } from "../../../protocol/address.ts";
import { type App, DEFAULT_GROUP_ID } from "../../model.ts";
import { certificatesFault } from "../pem.ts";
import { checkExternalUrl, checkInternalUrl, type UrlCheck } from "../published_url.ts";
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

/** An app as the API shows it. */
export const appSchema = z.object({
  ...recordShape,
  name: z.string(),
  groupId: z.string(),
  externalUrls: z.array(z.string()),
  internalUrl: z.string(),
  enabled: z.boolean(),
  hostHeader,
  timeouts: z.object({ connectMs: timeout, responseHeadMs: timeout, idleMs: timeout }),
  backendTls: z.object({
    validate: z.boolean(),
    ca: z.string().optional(),
    serverName: z.string().optional(),
  }),
  revision: z.number().int().openapi({
    description: "The group's configuration revision at the last change.",
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
  }).default(DEFAULT_TIMEOUTS),
  backendTls: z.strictObject({
    validate: z.boolean().default(true),
    ca: ca.optional(),
    serverName: serverName.optional(),
  }).default({ validate: true }),
}).openapi("AppInput");

/** What changes an app: what is not named stays; `null` takes `ca` or `serverName` away. */
export const appPatch = z.strictObject({
  name: nameText,
  groupId: idText,
  externalUrls,
  internalUrl,
  enabled: z.boolean(),
  hostHeader,
  timeouts: z.strictObject({ connectMs: timeout, responseHeadMs: timeout, idleMs: timeout }).partial(),
  backendTls: z.strictObject({ validate: z.boolean(), ca: ca.nullable(), serverName: serverName.nullable() })
    .partial(),
}).partial().openapi("AppPatch");

/** Writes an app. */
export function toApp(app: App): z.infer<typeof appSchema> {
  const { name, groupId, externalUrls, internalUrl, enabled, hostHeader, timeouts, backendTls, revision } =
    app;
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
    revision,
  };
}

/** An app in answers, and what makes or changes one. */
export type AppAnswer = z.infer<typeof appSchema>;
export type AppInput = z.input<typeof appInput>;
export type AppPatch = z.input<typeof appPatch>;
