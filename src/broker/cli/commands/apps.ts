import type { Command } from "commander";
import type { AppAnswer, AppInput, AppPatch } from "../../admin/schemas/app.ts";
import type { GroupAnswer } from "../../admin/schemas/group.ts";
import type { AdminClient } from "../admin_client.ts";
import { addClientCommand, addCommand } from "../command.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../errors.ts";
import { lookup } from "../lookup.ts";
import { table } from "../table.ts";
import { describeApp } from "./app_description.ts";
import { addAppFlags, type AppFlags, appFlagsToPatch } from "./app_flags.ts";
import { findGroup } from "./groups.ts";

interface AppOptions extends AppFlags {
  group?: string;
}

const findApp = (client: AdminClient, reference: string) =>
  lookup<AppAnswer>(client, "apps", reference, ({ name }) => name);

/** `app ...` */
export function addAppCommands(program: Command, context: CliContext): void {
  const app = addCommand(program, {
    usage: "app",
    about: "published applications",
    example: "sallyport-broker app list",
  });

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

  addAppFlags(addClientCommand<AppOptions>(app, context, {
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
    const missing = made.warnings ?? [];
    const next = "Connectors of its group learn it within a second. " +
      (missing.length === 0
        ? `Try ${made.externalUrls[0]}`
        : ["Users cannot open it yet:", ...missing].join("\n- "));
    const hint = made.hostHeader === "user" ? "" : made.translateHeaders ? BACKEND_HOST : BACKEND_HOST_BARE;
    return { json: made, text: `Published app "${made.name}" (${made.id}).\n${next}${hint}` };
  })).addHelpText("after", NOT_NAMED);

  addClientCommand(app, context, {
    usage: "show <app>",
    about: "show an app, given by id or name",
    example: "sallyport-broker app show Wiki",
  }, async (client, _options, reference) => {
    const found = await findApp(client, reference!);
    return { json: found, text: describeApp(found, await groupNames(client)) };
  });

  addAppFlags(addClientCommand<AppOptions>(app, context, {
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
    return { json: changed, text: `Changed app "${changed.name}".\n${describeApp(changed, names)}` };
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
response begins and between two parts of a body, an hour for a silent WebSocket, the backend's certificate
checked with the system's CAs, redirects and cookies translated, no other limit or change.`;

const BACKEND_HOST = `
The backend gets its own Host; redirects and cookies are translated. If its pages link to its internal URL:
--host-header user, or --translate-links on.`;

const BACKEND_HOST_BARE = `
The backend gets its own Host and nothing is translated: redirects to its internal URL will not work for users.
If it makes some: --host-header user, or --translate-headers on.`;

/** Flags as the API takes them: only what was given. */
async function toPatch(client: AdminClient, options: AppOptions): Promise<AppPatch> {
  const patch = await appFlagsToPatch(options);
  return options.group === undefined
    ? patch
    : { ...patch, groupId: (await findGroup(client, options.group)).id };
}

async function groupNames(client: AdminClient): Promise<Map<string, string>> {
  return new Map((await client.list<GroupAnswer>("groups")).map(({ id, name }) => [id, name]));
}
