import { readFileSync } from "node:fs";
import type { Environment } from "../../platform/configuration.ts";
import { parseProxyUrl, type ProxyUrl } from "../../platform/proxy_url.ts";
import { Secret } from "../../platform/secret.ts";
import { formatHostPort, type HostPort } from "../../protocol/address.ts";
import { ProxyError } from "./errors.ts";
import { isExempt } from "./no_proxy.ts";

/** The proxy that a connection goes through. */
export interface Proxy extends ProxyUrl {
  /** PEM certificates by which a proxy with TLS is trusted, instead of the runtime's; undefined: those. */
  ca: string | undefined;
  /** What names it, for people: a setting or a variable. */
  source: string;
}

/** The proxy for connections to an address; null: none. Throws `ProxyError`. */
export type ProxyFor = (address: HostPort) => Proxy | null;

/** What a person has said of a proxy, for one kind of connection. */
export interface ProxySettings {
  /** URL; `none` or `direct`: no proxy; empty: as the environment says. */
  url: string;
  /** Name of the setting that `url` is of. */
  setting: string;
  /** File with `user:password`; empty: none. Read anew for each connection. */
  credentialsFile: string;
  /** `user:password` from the environment; empty: none. */
  credentials: Secret;
  /** PEM file; empty: what the runtime trusts. */
  caFile: string;
}

const BYPASS: ReadonlySet<string> = new Set(["none", "direct"]);
const MOST_CREDENTIALS = 4_096;

/** Where a proxy is, without what is secret of it. */
export function describeProxy(proxy: ProxyUrl): string {
  return `${proxy.tls ? "https" : "http"}://${formatHostPort(proxy)}`;
}

/** Decides by the settings, and where these are silent by `HTTPS_PROXY` and `NO_PROXY` (lower case wins). */
export function proxyFor(settings: ProxySettings, env: Environment): ProxyFor {
  const { url, setting } = settings;
  if (BYPASS.has(url)) return () => null;
  if (url !== "") {
    const parsed = parse(url, setting);
    return () => complete(parsed, setting, settings);
  }
  const variable = env.https_proxy === undefined ? "HTTPS_PROXY" : "https_proxy";
  const ofEnvironment = env[variable] ?? "";
  if (ofEnvironment === "") return () => null;
  const parsed = parse(ofEnvironment, variable);
  const noProxy = env.no_proxy ?? env.NO_PROXY ?? "";
  return (address) => isExempt(noProxy, address) ? null : complete(parsed, variable, settings);
}

function parse(url: string, source: string): ProxyUrl {
  const parsed = parseProxyUrl(url);
  if (parsed !== null) return parsed;
  throw new ProxyError(
    "proxy_misconfigured",
    `Cannot use the proxy that ${source} names: it is not http://host:port or https://host:port (value not shown)`,
    { details: { source } },
  );
}

function complete(parsed: ProxyUrl, source: string, settings: ProxySettings): Proxy {
  const { credentialsFile, credentials, caFile } = settings;
  const ca = caFile === "" ? undefined : read(caFile, "proxy_ca_unreadable", "certificates");
  const given = credentialsFile === "" ? credentials : credentialsOf(credentialsFile);
  return { ...parsed, source, ca, credentials: given.reveal() === "" ? parsed.credentials : given };
}

function credentialsOf(file: string): Secret {
  const text = read(file, "proxy_credentials_unreadable", "credentials").trim();
  if (text.length <= MOST_CREDENTIALS && /^[^:\r\n]+:[^\r\n]*$/.test(text)) return new Secret(text);
  throw new ProxyError(
    "proxy_credentials_unreadable",
    `Cannot use the proxy's credentials in "${file}": it does not hold one line user:password`,
    { details: { file } },
  );
}

function read(
  file: string,
  code: "proxy_ca_unreadable" | "proxy_credentials_unreadable",
  what: string,
): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const message = `Cannot read the proxy's ${what} from "${file}": ${(cause as Error).message}`;
    throw new ProxyError(code, message, { cause, details: { file } });
  }
}
