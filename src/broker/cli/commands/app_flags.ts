import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import type { AppPatch } from "../../admin/schemas/app.ts";
import { collect, onOff, wholeNumber } from "../command.ts";
import { UsageError } from "../errors.ts";

/** The flags of `app create` and `app set`, but for the group, as they were given. */
export interface AppFlags {
  name?: string;
  externalUrl?: string[];
  internalUrl?: string;
  hostHeader?: "backend" | "user";
  enable?: boolean;
  disable?: boolean;
  connectTimeoutMs?: number;
  responseTimeoutMs?: number;
  idleTimeoutMs?: number;
  totalTimeoutMs?: number;
  upgradedIdleTimeoutMs?: number;
  validate?: boolean;
  backendCa?: string;
  backendName?: string;
  backendTlsMin?: "TLSv1.2" | "TLSv1.3";
  backendClientCertificate?: string;
  backendProtocol?: "auto" | "http1" | "h2" | "h2c";
  maxRequestBytes?: number;
  maxConcurrent?: number;
  maxQueued?: number;
  requestHeader?: string[];
  responseHeader?: string[];
  maintenance?: string;
  maintenanceRetryS?: number;
  compression?: boolean;
  translateHeaders?: boolean;
  translateRequestHeaders?: boolean;
  translateLinks?: boolean;
  cookieSecure?: boolean;
  cookieHttpOnly?: boolean;
  cookieSameSite?: "keep" | "lax" | "strict" | "none";
  forwardedHeader?: boolean;
  balancing?: "least_in_flight" | "round_robin" | "latency";
  affinity?: "none" | "cookie" | "address";
  healthCheck?: string;
  healthIntervalMs?: number;
  healthTimeoutMs?: number;
  healthyAfter?: number;
  unhealthyAfter?: number;
}

/** Adds the flags to a command. */
export function addAppFlags(command: Command): Command {
  const number = (flag: string, unit: string, about: string) =>
    command.option(`${flag} <${unit}>`, about, wholeNumber(flag));
  const toggle = (flag: string, about: string) => command.option(`${flag} <on|off>`, about, onOff);
  command
    .option("--name <name>", "name for people, unique")
    .option("--external-url <url>", "where users find it; more than once for several", collect)
    .option("--internal-url <url>", "where the backend is")
    .option("--group <group>", "group whose connectors serve it")
    .option("--host-header <which>", "Host that the backend gets: backend or user")
    .option("--enable", "let users in")
    .option("--disable", "let nobody in");
  number("--connect-timeout-ms", "ms", "to connect to the backend; 0: no limit");
  number("--response-timeout-ms", "ms", "until the response begins; 0: no limit");
  number("--idle-timeout-ms", "ms", "between two parts of a body; 0: no limit");
  number("--total-timeout-ms", "ms", "for a request with its response; 0: no limit");
  number("--upgraded-idle-timeout-ms", "ms", "of a WebSocket on which nobody sends; 0: no limit");
  command
    .option("--validate", "check the backend's TLS certificate")
    .option("--no-validate", "accept any TLS certificate of the backend")
    .option("--backend-ca <file>", "PEM certificates to trust for the backend; - for the system's")
    .option("--backend-name <name>", "name expected in the backend's certificate; - for its host")
    .option("--backend-tls-min <version>", "least version of TLS to the backend: TLSv1.2 or TLSv1.3")
    .option(
      "--backend-client-certificate <name>",
      "pair in the connector's backendClientCertificates to show the backend; - for none",
    )
    .option("--backend-protocol <protocol>", "auto, http1, h2 (https) or h2c (http)");
  number("--max-request-bytes", "bytes", "largest body of a request; 0: no limit");
  number("--max-concurrent", "n", "most requests at a time; 0: no limit");
  number("--max-queued", "n", "most requests that wait for their turn");
  command
    .option("--request-header <change>", HEADER_HELP("to the backend"), collect)
    .option("--response-header <change>", HEADER_HELP("to users"), collect)
    .option("--maintenance <message>", "tell users this instead of asking the backend; - ends it");
  number("--maintenance-retry-s", "s", "seconds until users should try again");
  toggle("--compression", "compress responses");
  toggle("--translate-headers", "translate internal URLs in headers, and cookies");
  toggle("--translate-request-headers", "translate the external URL in Origin, Referer and Destination");
  toggle("--translate-links", "translate internal URLs in HTML and CSS");
  toggle("--cookie-secure", "make the backend's cookies Secure for users on https");
  toggle("--cookie-http-only", "make the backend's cookies HttpOnly");
  command.option(
    "--cookie-same-site <value>",
    "SameSite of the backend's cookies: keep, lax, strict or none",
  );
  toggle("--forwarded-header", "send Forwarded (RFC 7239) beside X-Forwarded-For");
  command
    .option("--balancing <how>", "how a connector is chosen: least_in_flight, round_robin or latency")
    .option("--affinity <how>", "what keeps a user at one connector: none, cookie or address")
    .option(
      "--health-check <what>",
      "how the backend is checked: tcp, or the path of a GET; - for not at all",
    );
  number("--health-interval-ms", "ms", "between two checks");
  number("--health-timeout-ms", "ms", "for one check");
  number("--healthy-after", "n", "successes in a row that make it healthy");
  number("--unhealthy-after", "n", "failures in a row that make it unhealthy");
  return command;
}

const HEADER_HELP = (where: string) =>
  `header ${where}: "set NAME: VALUE", "add NAME: VALUE" or "remove NAME"; once for each; these replace all; - for none`;

/** Flags as the API takes them: only what was given. Throws `UsageError`. */
export async function appFlagsToPatch(options: AppFlags): Promise<AppPatch> {
  if (options.enable === true && options.disable === true) {
    throw new UsageError("usage_invalid", "Cannot both enable and disable an app");
  }
  return given({
    name: options.name,
    externalUrls: options.externalUrl,
    internalUrl: options.internalUrl,
    hostHeader: options.hostHeader,
    enabled: options.enable === true ? true : options.disable === true ? false : undefined,
    timeouts: group({
      connectMs: options.connectTimeoutMs,
      responseHeadMs: options.responseTimeoutMs,
      idleMs: options.idleTimeoutMs,
      totalMs: options.totalTimeoutMs,
      upgradedIdleMs: options.upgradedIdleTimeoutMs,
    }),
    backendTls: group({
      validate: options.validate,
      ca: options.backendCa === "-" ? null : await readPem(options.backendCa),
      serverName: orNone(options.backendName),
      minVersion: options.backendTlsMin,
      clientCertificate: orNone(options.backendClientCertificate),
    }),
    backendProtocol: options.backendProtocol,
    maxRequestBytes: options.maxRequestBytes,
    maxConcurrent: options.maxConcurrent,
    maxQueued: options.maxQueued,
    requestHeaders: headerChanges(options.requestHeader),
    responseHeaders: headerChanges(options.responseHeader),
    maintenance: options.maintenance === "-"
      ? null
      : group({ message: options.maintenance, retryAfterS: options.maintenanceRetryS }),
    compression: options.compression,
    translateHeaders: options.translateHeaders,
    translateRequestHeaders: options.translateRequestHeaders,
    translateLinks: options.translateLinks,
    cookies: group({
      secure: options.cookieSecure,
      httpOnly: options.cookieHttpOnly,
      sameSite: options.cookieSameSite,
    }),
    forwardedHeader: options.forwardedHeader,
    balancing: options.balancing,
    affinity: options.affinity,
    healthCheck: options.healthCheck === "-" ? null : group({
      ...checked(options.healthCheck),
      intervalMs: options.healthIntervalMs,
      timeoutMs: options.healthTimeoutMs,
      healthyAfter: options.healthyAfter,
      unhealthyAfter: options.unhealthyAfter,
    }),
  });
}

/** What was given of values; undefined where nothing was. */
function group<T extends object>(values: T): Partial<T> | undefined {
  const some = given(values);
  return Object.keys(some).length === 0 ? undefined : some;
}

function given<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

const orNone = (text: string | undefined): string | null | undefined => text === "-" ? null : text;

function checked(what: string | undefined): { type?: "http" | "tcp"; path?: string } {
  if (what === undefined) return {};
  return what === "tcp" ? { type: "tcp" } : { type: "http", path: what };
}

type HeaderChanges = NonNullable<AppPatch["requestHeaders"]>;

function headerChanges(given: readonly string[] | undefined): HeaderChanges | undefined {
  if (given === undefined) return undefined;
  return given.length === 1 && given[0] === "-" ? [] : given.map(headerChange);
}

/** `set NAME: VALUE`, `add NAME: VALUE` or `remove NAME`. */
function headerChange(text: string): HeaderChanges[number] {
  const match = /^(?:(?<action>set|add) +(?<name>[^:\s]+):\s*(?<value>.*?)|remove +(?<gone>\S+))\s*$/
    .exec(text)?.groups;
  if (match?.gone !== undefined) return { action: "remove", name: match.gone };
  if (match?.name !== undefined) {
    return { action: match.action as "set" | "add", name: match.name, value: match.value! };
  }
  throw new UsageError(
    "usage_invalid",
    `Cannot use header change "${text}": expected one like "set X-Team: blue", "add X-Team: blue" or "remove X-Team"`,
  );
}

async function readPem(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new UsageError("usage_invalid", `Cannot read certificates from "${path}"`, { cause });
  }
}
