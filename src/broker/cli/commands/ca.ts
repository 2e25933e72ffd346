import type { Command } from "commander";
import { addCommand, addLocation, type CommandText } from "../command.ts";
import { localConfiguration, type LocationOptions } from "../configuration.ts";
import { type Answer, type CliContext, printAnswer } from "../context.ts";
import { UsageError } from "../errors.ts";
import { facts } from "../table.ts";

type ShownCa = import("../ca.ts").ShownCa;
type Work = typeof import("../ca.ts");
type Options = LocationOptions & { json?: boolean };

/** `ca ...`: they work on the files themselves, so they need no token; a running broker follows within a minute. */
export function addCaCommands(program: Command, context: CliContext): void {
  const ca = addCommand(program, {
    usage: "ca",
    about: "the certificate authority in the data folder",
    example: "sallyport-broker ca show",
  });

  addLocation(addCommand(ca, {
    usage: "show",
    about: "show roots, issuing certificate, roll-over and how the keys are kept",
    example: "sallyport-broker ca show",
  })).option("--json", "print JSON").action(
    async ({ json = false, ...options }: Options) => {
      const work = await import("../ca.ts");
      const config = await localConfiguration(options, context);
      const { dataDir, caKeyFile, caSignCommand: command, caCertificatesFile: certificates } = config;
      const shown = command.length === 0
        ? await work.showCa(await work.openCaFiles(dataDir, caKeyFile, context.env))
        : await work.showCaElsewhere(certificates);
      printAnswer(context, { json: shown, text: describe(shown) }, json);
    },
  );

  addLocation(addCommand(ca, {
    usage: "create",
    about:
      "make an authority where it was lost: every connector must register again; the broker must be stopped",
    example: "sallyport-broker ca create",
  })).option("--json", "print JSON").action(
    async ({ json = false, ...options }: Options) => {
      const { dataDir, caKeyFile } = await folderConfiguration(options, context);
      const { createCa } = await import("../ca.ts");
      const made = await createCa(dataDir, caKeyFile, context.env);
      printAnswer(context, done(made, "There is a new authority: register every connector again."), json);
    },
  );

  add(
    ca,
    context,
    {
      usage: "renew-issuing",
      about: "replace the issuing certificate now (the broker does so by itself a year before its end)",
      example: "sallyport-broker ca renew-issuing",
    },
    async (work, open) =>
      done(await work.renewIssuingNow(await open()), "The issuing certificate is renewed."),
  );

  add(ca, context, {
    usage: "roll-over",
    about: "make the next root and announce it to connectors; it takes over after caOverlapMs",
    example: "sallyport-broker ca roll-over",
  }, async (work, open) => {
    const text = "The next root is made; connectors that are connected learn it within a minute.";
    return done(await work.beginRollOverNow(await open()), text);
  });

  add(ca, context, {
    usage: "finish-roll-over",
    about: "let the next root take over now; refused while enabled connectors have not learned it",
    example: "sallyport-broker ca finish-roll-over",
  }, async (work, open, _argument, { force = false }: Options & { force?: boolean }) => {
    const text = "The next root has taken over. Tokens made before this must be made again.";
    return done(await work.finishRollOverNow(await open(), force), text);
  }).option("--force", "also where connectors have not learned it: they must register again");

  add(
    ca,
    context,
    {
      usage: "drop-root <fingerprint>",
      about: "trust a root no longer that is not in use; what it signed is refused from now on",
      example: "sallyport-broker ca drop-root 3f0a...",
    },
    async (work, open, fingerprint) =>
      done(await work.dropRootNow(await open(), fingerprint!.toLowerCase()), "The root is dropped."),
  );

  add(
    ca,
    context,
    {
      usage: "export-root-key <file>",
      about: "copy the root's key, encrypted as it is, into a new file",
      example: "sallyport-broker ca export-root-key /media/safe/root.key.pem --remove",
    },
    async (work, open, file, { remove }: Options & { remove?: boolean }) => {
      const isGone = remove ?? false;
      await work.exportRootKey(await open(), file!, isGone);
      const text = `The root's key is in "${file}"${isGone ? ", and no longer in the data folder" : ""}.`;
      return { json: { file, removed: isGone }, text };
    },
  ).option("--remove", "remove it from the data folder: renew-issuing then needs import-root-key");

  add(
    ca,
    context,
    {
      usage: "import-root-key <file>",
      about: "take the root's key back that export-root-key has written",
      example: "sallyport-broker ca import-root-key /media/safe/root.key.pem",
    },
    async (work, open, file) =>
      done(await work.importRootKeyFrom(await open(), file!), "The root's key is in the data folder."),
  );

  add(
    ca,
    context,
    {
      usage: "rekey <file>",
      about: "encrypt the keys with the key in another file; the broker must be stopped",
      example: "sallyport-broker ca rekey /run/secrets/new-ca-key",
    },
    async (work, open, file) => {
      const { lockDataFolder } = await import("../../data_folder_lock.ts");
      const files = await open();
      // A running broker has the key before in its memory: it could not read what it has to renew.
      using _stopped = await lockDataFolder(files.dataDir, false);
      return done(await work.rekey(files, file!), `The keys are encrypted with the key in "${file}".`);
    },
  );
}

function add<Given extends Options>(
  parent: Command,
  context: CliContext,
  text: CommandText,
  run: (
    work: Work,
    open: () => ReturnType<Work["openCaFiles"]>,
    argument: string | undefined,
    options: Given,
  ) => Promise<Answer>,
): Command {
  return addLocation(addCommand(parent, text)).option("--json", "print JSON").action(
    async (...given: unknown[]) => {
      const { json = false, ...options } = given.at(-2) as Given;
      const work = await import("../ca.ts");
      const open = async () => {
        const { dataDir, caKeyFile } = await folderConfiguration(options, context);
        return await work.openCaFiles(dataDir, caKeyFile, context.env);
      };
      const argument = given.length > 2 ? given[0] as string : undefined;
      printAnswer(context, await run(work, open, argument, options as Given), json);
    },
  );
}

/** For what needs the keys. Throws `usage_invalid` where the authority is not in the data folder. */
async function folderConfiguration(options: LocationOptions, context: CliContext) {
  const config = await localConfiguration(options, context);
  if (config.caSignCommand.length === 0) return config;
  throw new UsageError("usage_invalid", "Cannot change the CA: its keys are elsewhere, see caSignCommand");
}

function told({ fingerprint, notAfter, expired }: ShownCa["issuing"]): string {
  return `${fingerprint}, until ${notAfter}${expired ? " (HAS ENDED)" : ""}`;
}

function describe({ roots, issuing, rootKey, encrypted }: ShownCa): string {
  const atRest = encrypted ? "encrypted" : "plain: see caKeyFile";
  return facts([
    ...roots.map((root): [string, string] => [`root (${root.state})`, told(root)]),
    ["issuing certificate", told(issuing)],
    ["root key", rootKey],
    ["keys at rest", encrypted === null ? "none here: caSignCommand signs" : atRest],
  ]);
}

function done(json: object, text: string): Answer {
  return { json, text };
}
