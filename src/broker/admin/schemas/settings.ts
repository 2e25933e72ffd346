import { z } from "@hono/zod-openapi";
import type { Settings } from "../../model.ts";
import type { KeptSettings } from "../../store/port.ts";
import { etagOf } from "../etag.ts";

const versionText = z.string().max(64)
  .regex(/^([0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?)?$/, "it is not a version such as 1.2.3")
  .openapi({ example: "1.2.3" });

const shape = {
  latestVersion: versionText.openapi({ description: "Newest released version; empty when unknown." }),
  desiredConnectorVersion: versionText.openapi({
    description: "Version that connectors should run; empty for whatever they have.",
  }),
  sessionLog: z.boolean().openapi({ description: "One log line an exchange, on broker and connectors." }),
  logLevel: z.enum(["debug", "info", "warn", "error"]),
  reenrolment: z.boolean().openapi({
    description:
      "Whether a connector whose certificate expired while it was off gets a new one by proving its old key.",
  }),
  reenrolmentGraceDays: z.number().int().min(1).max(365).openapi({
    description: "Days after the end of its certificate within which it may.",
  }),
  sharedIdentity: z.enum(["allow", "refuse"]).openapi({
    description:
      "Whether two processes may have tunnels with one connector's identity at once. Always logged; `refuse` also ends " +
      "the later ones of those that are connected now.",
  }),
};

const NAMES = Object.keys(shape) as (keyof typeof shape)[];

/** Settings as the API shows them. */
export const settingsSchema = z.object({
  ...shape,
  set: z.array(z.enum(NAMES)).openapi({
    description:
      "Which of them somebody has set. Of the others the default is shown, of `logLevel` and `sessionLog` what is " +
      "configured on this broker; each connector goes by its own configuration then.",
  }),
  etag: z.string().openapi({ description: "Changes with each change: for If-Match.", example: '"3"' }),
}).openapi("Settings");

/** What changes settings: what is not named stays. */
export const settingsPatch = z.strictObject(shape).partial().openapi("SettingsPatch");

/** Writes settings; `configured` is what this broker goes by of what nobody has set. */
export function toSettings(
  { settings, given, version }: KeptSettings,
  configured: Partial<Settings> = {},
): SettingsAnswer {
  const set = NAMES.filter((name) => given[name] !== undefined);
  return { ...settings, ...configured, ...given, set, etag: etagOf(version) };
}

/** Settings in answers, and what changes them. */
export type SettingsAnswer = z.infer<typeof settingsSchema>;
export type SettingsPatch = z.input<typeof settingsPatch>;
