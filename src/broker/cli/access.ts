import { readFile } from "node:fs/promises";
import { Secret } from "../../platform/secret.ts";
import { isAdminToken } from "../admin/admin_token.ts";
import { dataFolder } from "../data_folder.ts";
import { AdminClient } from "./admin_client.ts";
import { localConfiguration, type LocationOptions } from "./configuration.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./errors.ts";

/** Flags that say where the admin API is and who asks. */
export interface AccessOptions extends LocationOptions {
  adminUrl?: string;
  adminTokenFile?: string;
}

/**
 * The way to the admin API. Address: flag, `SALLYPORT_ADMIN_URL`, the broker's configuration. Token: flag (a file),
 * `SALLYPORT_ADMIN_TOKEN`, `SALLYPORT_ADMIN_TOKEN_FILE`, the data folder's file. Throws `usage_invalid`,
 * `admin_token_missing`.
 */
export async function openAdminClient(
  options: AccessOptions,
  context: CliContext,
  flags?: ReadonlySet<string>,
): Promise<AdminClient> {
  const { env } = context;
  const url = checkUrl(options.adminUrl ?? env.SALLYPORT_ADMIN_URL ?? await localUrl(options, context));
  const token = await findToken(options, context);
  if (url.protocol === "http:" && !isLoopback(url.hostname)) {
    context.warn(`Warning: the admin token goes unencrypted to "${url.hostname}"\n`);
  }
  return new AdminClient(url.href.replace(/\/+$/, ""), token, flags);
}

/** Why the file of the admin token cannot be read, and the first thing to do. */
const UNREADABLE: Readonly<Record<string, string>> = {
  EACCES: "this user may not read it; be the broker's user",
  ENOENT: "there is no such file; name the broker's --data-dir or --config",
};

async function findToken(options: AccessOptions, context: CliContext): Promise<Secret> {
  const { env } = context;
  const given = options.adminTokenFile === undefined ? env.SALLYPORT_ADMIN_TOKEN : undefined;
  if (given !== undefined) return checkToken(given, 'variable "SALLYPORT_ADMIN_TOKEN"');
  const file = options.adminTokenFile ?? env.SALLYPORT_ADMIN_TOKEN_FILE ??
    dataFolder((await localConfiguration(locationOf(options), context)).dataDir).adminToken;
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const { code = "unknown" } = cause as NodeJS.ErrnoException;
    throw new UsageError(
      "admin_token_missing",
      `Cannot read an admin token from "${file}": ${
        UNREADABLE[code] ?? code
      }; or give --admin-token-file or ` +
        "set SALLYPORT_ADMIN_TOKEN",
      { cause },
    );
  }
  return checkToken(text, `file "${file}"`);
}

function checkToken(text: string, source: string): Secret {
  const token = text.trim();
  if (isAdminToken(token)) return new Secret(token);
  throw new UsageError("admin_token_missing", `Cannot use ${source}: it holds no admin token`);
}

function checkUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (
    url === null || !/^https?:$/.test(url.protocol) ||
    url.username + url.password + url.search + url.hash !== ""
  ) {
    throw new UsageError(
      "usage_invalid",
      `Cannot use admin URL "${withoutSecrets(text)}": expected one like http://127.0.0.1:9180`,
    );
  }
  return url;
}

/** User information, query and fragment masked; all of it where they cannot be told apart. */
function withoutSecrets(text: string): string {
  const [, head, mark = "", tail] = /^([^?#]*)([?#]?)(.*)$/s.exec(text)!;
  if (tail!.includes("@")) return "***";
  return `${head!.replace(/^.*@/s, "***@")}${mark}${tail === "" ? "" : "***"}`;
}

/** Where a broker on this host listens; a wildcard address is reached over loopback. */
async function localUrl(options: AccessOptions, context: CliContext): Promise<string> {
  const { parseListenAddress } = await import("../../platform/listen_address.ts");
  const { adminListen } = await localConfiguration(locationOf(options), context);
  const { host, port } = parseListenAddress(adminListen) ?? { host: "127.0.0.1", port: 9_180 };
  const name = { "0.0.0.0": "127.0.0.1", "::": "::1" }[host] ?? host;
  return `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
}

/** A command's other flags may have the names of configuration keys: `settings set --log-level`. */
function locationOf({ config, dataDir }: AccessOptions): LocationOptions {
  return { config, dataDir };
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
