import { parseArgs } from "node:util";

/** What the demo was asked to do. */
export interface DemoOptions {
  /** One line of JSON on standard output and nothing else there. */
  json: boolean;
  connectors: number;
  /** The internal application to publish; the sample where none is given. */
  url: string | null;
  /** Which Host the application gets: the user's or that of its own URL. */
  hostHeader: "user" | "backend";
  /** Any certificate of an https application is accepted. */
  insecure: boolean;
}

/** The command line is not one the demo understands. */
export class UsageError extends Error {}

export const USAGE =
  `Publishes an internal web application through one outbound connection, on this machine, to try it out.

Usage: npm run demo -- [--json] [--connectors N] [--host-header user|backend] [--insecure] [URL]

  URL             the application to publish; without one, a small sample application
  --connectors N  how many connectors serve it, 1 to 16 (default 1)
  --host-header   which Host the application gets: user, the public address, so that links it makes of it lead
                  through the tunnel; or backend, that of URL. Default: user where URL has an IP address or
                  localhost, else backend
  --insecure      accept any certificate of an https application, such as a self-signed one
  --json          print one line of JSON when a request can get through, and nothing else on standard output, where
                  npm puts lines of its own unless it is called so: npm run --silent demo -- --json
  --help          print this

Example: npm run demo -- http://127.0.0.1:4873
`;

/** The options of a command line (without program and script); null when it asks for help. */
export function parseDemoOptions(args: readonly string[]): DemoOptions | null {
  const { values, positionals } = parse(args);
  if (values.help) return null;
  if (positionals.length > 1) throw new UsageError(`Expected one URL, got ${positionals.length}`);
  const url = positionals[0] === undefined ? null : parseUrl(positionals[0]);
  return {
    json: values.json,
    connectors: parseCount(values.connectors),
    url: url?.href ?? null,
    hostHeader: parseHostHeader(values["host-header"], url),
    insecure: values.insecure,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        connectors: { type: "string", default: "1" },
        "host-header": { type: "string" },
        insecure: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    // Node's advice on arguments that begin with a dash helps nobody here.
    throw new UsageError((error as Error).message.replace(/\. To specify .*$/s, ""), { cause: error });
  }
}

function parseCount(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(count >= 1 && count <= 16)) throw new UsageError(`--connectors must be 1 to 16, got "${text}"`);
  return count;
}

/** A name may be what the backend tells its sites apart by; an address tells it nothing. */
function parseHostHeader(text: string | undefined, url: URL | null): DemoOptions["hostHeader"] {
  if (text === "user" || text === "backend") return text;
  if (text !== undefined) throw new UsageError(`--host-header must be user or backend, got "${text}"`);
  return url === null || /^(localhost|[\d.]+|\[.*\])$/.test(url.hostname) ? "user" : "backend";
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    const hint = URL.canParse(`http://${text}`) && !text.includes("://")
      ? `; did you mean "http://${text}"?`
      : "";
    throw new UsageError(`The application must be an http or https URL, got "${text}"${hint}`);
  }
  return url;
}
