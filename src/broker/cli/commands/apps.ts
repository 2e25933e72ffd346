import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import type { AppAnswer, AppInput, AppPatch } from "../../admin/schemas/app.ts";
import type { GroupAnswer } from "../../admin/schemas/group.ts";
import type { AdminClient } from "../admin_client.ts";
import { addClientCommand, collect, wholeNumber } from "../command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { lookup } from "../lookup.ts";
import { facts, table, when } from "../table.ts";
import { findGroup } from "./groups.ts";

interface AppOptions {
  name?: string;
  externalUrl?: string[];
  internalUrl?: string;
  group?: string;
  hostHeader?: "backend" | "user";
  enable?: boolean;
  disable?: boolean;
  connectTimeoutMs?: number;
  responseTimeoutMs?: number;
  idleTimeoutMs?: number;
  validate?: boolean;
  backendCa?: string;
  backendName?: string;
}

const findApp = (client: AdminClient, reference: string) =>
  lookup<AppAnswer>(client, "apps", reference, ({ name }) => name);

/** `app ...` */
export function addAppCommands(program: Command, context: CliContext): void {
  const app = program.command("app").description("published applications");

  addClientCommand<{ group?: string }>(app, context, {
    usage: "list",
    about: "list apps",
    example: "sallyport-broker app list --group Berlin",
  }, async (client, { group }) => {
    const filter = group === undefined ? "" : `?groupId=${(await findGroup(client, group)).id}`;
    const apps = await client.list<AppAnswer>(`apps${filter}`);
    const names = await groupNames(client);
    const rows = apps.map((a) => [
      a.id,
      a.name,
      names.get(a.groupId) ?? a.groupId,
      a.externalUrls.join(" "),
      a.internalUrl,
      a.enabled,
    ]);
    const head = ["ID", "NAME", "GROUP", "EXTERNAL URL", "INTERNAL URL", "ENABLED"];
    return {
      json: apps,
      text: table(head, rows, "No app is published. Next: sallyport-broker app create --help"),
    };
  }).option("--group <group>", "only those of this group");

  addSettings(addClientCommand<AppOptions>(app, context, {
    usage: "create",
    about: "publish an app",
    example:
      "sallyport-broker app create --name Wiki --external-url https://wiki.example.com --internal-url http://10.0.0.5:8080",
  }, async (client, options) => {
    const { name, externalUrl, internalUrl } = options;
    if (name === undefined || externalUrl === undefined || internalUrl === undefined) {
      throw new UsageError(
        "usage_invalid",
        "Cannot create an app without --name, --external-url and --internal-url",
      );
    }
    const input: AppInput = {
      ...await toPatch(client, options),
      name,
      externalUrls: externalUrl,
      internalUrl,
    } as AppInput;
    const made = await client.post<AppAnswer>("apps", input);
    const next = `Connectors of its group learn it within a second. Try ${made.externalUrls[0]}`;
    return { json: made, text: `Published app "${made.name}" (${made.id}).\n${next}` };
  })).addHelpText("after", NOT_NAMED);

  addClientCommand(app, context, {
    usage: "show <app>",
    about: "show an app, given by id or name",
    example: "sallyport-broker app show Wiki",
  }, async (client, _options, reference) => {
    const found = await findApp(client, reference!);
    return { json: found, text: describe(found, await groupNames(client)) };
  });

  addSettings(addClientCommand<AppOptions>(app, context, {
    usage: "set <app>",
    about: "change an app: what is not named stays",
    example: "sallyport-broker app set Wiki --internal-url http://10.0.0.6:8080",
  }, async (client, options, reference) => {
    const patch = await toPatch(client, options);
    if (Object.keys(patch).length === 0) {
      throw new UsageError("usage_invalid", "Cannot change the app: nothing to change was given");
    }
    const { id } = await findApp(client, reference!);
    const changed = await client.patch<AppAnswer>(`apps/${id}`, patch);
    const names = await groupNames(client);
    return { json: changed, text: `Changed app "${changed.name}".\n${describe(changed, names)}` };
  }));

  addClientCommand(app, context, {
    usage: "delete <app>",
    about: "take an app off",
    example: "sallyport-broker app delete Wiki",
  }, async (client, _options, reference) => {
    const { id, name } = await findApp(client, reference!);
    await client.delete(`apps/${id}`);
    return { json: { deleted: id }, text: `Deleted app "${name}" (${id}).` };
  });
}

const NOT_NAMED = `
What is not named: group Default, users let in, Host of the backend, 10000 ms to connect, 85000 ms until the
response begins and between two parts of a body, the backend's certificate checked with the system's CAs.`;

function addSettings(command: Command): Command {
  return command
    .option("--name <name>", "name for people, unique")
    .option("--external-url <url>", "where users find it; more than once for several", collect)
    .option("--internal-url <url>", "where the backend is")
    .option("--group <group>", "group whose connectors serve it")
    .option("--host-header <which>", "Host that the backend gets: backend or user")
    .option("--enable", "let users in")
    .option("--disable", "let nobody in")
    .option(
      "--connect-timeout-ms <ms>",
      "to connect to the backend; 0: no limit",
      wholeNumber("--connect-timeout-ms"),
    )
    .option(
      "--response-timeout-ms <ms>",
      "until the response begins; 0: no limit",
      wholeNumber("--response-timeout-ms"),
    )
    .option(
      "--idle-timeout-ms <ms>",
      "between two parts of a body; 0: no limit",
      wholeNumber("--idle-timeout-ms"),
    )
    .option("--validate", "check the backend's TLS certificate")
    .option("--no-validate", "accept any TLS certificate of the backend")
    .option("--backend-ca <file>", "PEM certificates to trust for the backend; - for the system's")
    .option("--backend-name <name>", "name expected in the backend's certificate; - for its host");
}

/** Flags as the API takes them: only what was given. */
async function toPatch(client: AdminClient, options: AppOptions): Promise<AppPatch> {
  if (options.enable === true && options.disable === true) {
    throw new UsageError("usage_invalid", "Cannot both enable and disable an app");
  }
  const timeouts = given({
    connectMs: options.connectTimeoutMs,
    responseHeadMs: options.responseTimeoutMs,
    idleMs: options.idleTimeoutMs,
  });
  const backendTls = given({
    validate: options.validate,
    ca: options.backendCa === "-" ? null : await readPem(options.backendCa),
    serverName: options.backendName === "-" ? null : options.backendName,
  });
  return given({
    name: options.name,
    externalUrls: options.externalUrl,
    internalUrl: options.internalUrl,
    groupId: options.group === undefined ? undefined : (await findGroup(client, options.group)).id,
    hostHeader: options.hostHeader,
    enabled: options.enable === true ? true : options.disable === true ? false : undefined,
    timeouts: Object.keys(timeouts).length === 0 ? undefined : timeouts,
    backendTls: Object.keys(backendTls).length === 0 ? undefined : backendTls,
  });
}

function given<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

async function readPem(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new UsageError("usage_invalid", `Cannot read certificates from "${path}"`, { cause });
  }
}

async function groupNames(client: AdminClient): Promise<Map<string, string>> {
  return new Map((await client.list<GroupAnswer>("groups")).map(({ id, name }) => [id, name]));
}

function describe(app: AppAnswer, groups: ReadonlyMap<string, string>): string {
  const { timeouts, backendTls } = app;
  return facts([
    ["id", app.id],
    ["name", app.name],
    ["group", groups.get(app.groupId) ?? app.groupId],
    ...app.externalUrls.map((url) => ["external URL", url] as const),
    ["internal URL", app.internalUrl],
    ["enabled", app.enabled],
    ["Host sent", app.hostHeader],
    ["connect timeout", `${timeouts.connectMs} ms`],
    ["response timeout", `${timeouts.responseHeadMs} ms`],
    ["idle timeout", `${timeouts.idleMs} ms`],
    ["TLS validation", backendTls.validate],
    ["TLS CA", backendTls.ca === undefined ? "the system's" : "its own"],
    ["TLS name", backendTls.serverName],
    ["changed", when(app.updatedAt)],
  ]);
}
