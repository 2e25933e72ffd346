import { homedir } from "node:os";
import { join } from "node:path";
import {
  type ConfigurationValues,
  defineConfiguration,
  type Environment,
} from "../platform/configuration.ts";
import {
  bool,
  certificatePairs,
  integer,
  oneOf,
  proxyUrl,
  text,
  textList,
} from "../platform/configuration_value.ts";
import { problemsOfAddresses } from "./broker_addresses.ts";

/** Where a connector keeps its identity unless told otherwise: a system folder for root and services, else the user's own. */
export function defaultStateDir(env: Environment, platform: string, isRoot: boolean, home: string): string {
  if (platform === "win32") return join(env.ProgramData ?? "C:\\ProgramData", "Sallyport", "connector");
  if (isRoot) return "/var/lib/sallyport-connector";
  const state = env.XDG_STATE_HOME;
  // The XDG specification: a relative path is to be ignored.
  return join(state?.startsWith("/") ? state : join(home, ".local", "state"), "sallyport-connector");
}

/** Everything a connector can be told from outside. The status socket is in `stateDir`. */
export const CONNECTOR_CONFIGURATION = defineConfiguration({
  program: "sallyport-connector",
  otherVariables: [
    "SALLYPORT_TOKEN",
    "SALLYPORT_ANSWER_FILE",
    "SALLYPORT_FORCE",
    "SALLYPORT_STEP_TIMEOUT_MS",
    "SALLYPORT_PROXY_CREDENTIALS",
    "SALLYPORT_BACKEND_PROXY_CREDENTIALS",
  ],
  keys: {
    stateDir: {
      type: text(),
      default: (env: Environment) =>
        defaultStateDir(env, process.platform, process.getuid?.() === 0, homedir()),
      defaultText: "/var/lib/sallyport-connector for root, else $XDG_STATE_HOME/sallyport-connector",
      describe: "Folder of broker address, CA, key and certificate",
    },
    tokenFile: {
      type: text(),
      default: "",
      describe:
        "File with an enrolment token: `run` on a host that is not registered registers it first; so does SALLYPORT_TOKEN",
      example: "/etc/sallyport/token",
    },
    machineName: {
      type: text(),
      default: "",
      describe: "Name under which the broker shows this host; empty: its host name",
    },
    caFingerprint: {
      type: text(),
      default: "",
      describe:
        "SHA-256 of the broker's root certificate, in hex: registration refuses a token of another broker",
    },
    keyType: {
      type: oneOf("p256", "p384", "rsa3072"),
      default: "p256",
      describe: "Kind of the key that registration makes",
    },
    fips: {
      type: bool(),
      default: false,
      describe: "Prove at the start that cryptography comes from a FIPS provider; else end with exit code 2",
    },
    proxy: {
      type: proxyUrl(),
      default: "",
      describe:
        "HTTP proxy on the way to the broker; `none` or `direct`: straight; empty: as HTTPS_PROXY and NO_PROXY say",
      example: "http://proxy.corp.example:3128",
    },
    proxyCredentialsFile: {
      type: text(),
      default: "",
      describe: "File with `user:password` for that proxy (Basic), read for each connection; or set " +
        "SALLYPORT_PROXY_CREDENTIALS",
      example: "/etc/sallyport/proxy",
    },
    proxyCaFile: {
      type: text(),
      default: "",
      describe: "PEM certificates by which an https:// proxy is trusted, instead of the runtime's own",
    },
    backendProxy: {
      type: proxyUrl(),
      default: "none",
      describe: "HTTP proxy on the way to backends; names are resolved and checked here all the same",
      example: "http://proxy.dmz.example:3128",
    },
    backendProxyCredentialsFile: {
      type: text(),
      default: "",
      describe: "File with `user:password` for that proxy; or set SALLYPORT_BACKEND_PROXY_CREDENTIALS",
    },
    backendProxyCaFile: {
      type: text(),
      default: "",
      describe: "PEM certificates by which an https:// proxy to backends is trusted",
    },
    allow: {
      type: textList("list of host:port patterns"),
      default: [],
      describe:
        "Backends that this host lets the broker reach; empty: all but link-local and cloud-metadata addresses",
      example: "10.0.0.0/8:443,wiki.corp.example:*",
    },
    backendClientCertificates: {
      type: certificatePairs(),
      default: {},
      describe:
        "Certificates for backends that ask for one, PEM files, by the names that apps call them; read for each connection",
      example: '{"wiki":{"certificate":"/etc/sallyport/wiki.pem","key":"/etc/sallyport/wiki.key"}}',
    },
    tunnels: {
      type: integer(1, 16),
      default: 1,
      describe: "Tunnels to each broker node, by each of its addresses",
    },
    brokerAddresses: {
      type: textList("list of host:port"),
      default: [],
      describe:
        "Addresses of the broker, e.g. by several providers, each with tunnels of its own; empty: the one that " +
        "enrolment told",
      example: "access.example.com:443,access-2.example.com:443",
    },
    configPullIntervalMs: {
      type: integer(1_000, 86_400_000),
      default: 120_000,
      describe: "Time between configuration pulls; changes are announced besides",
    },
    versionPollIntervalMs: {
      type: integer(1_000, 604_800_000),
      default: 3_600_000,
      describe: "Time between questions which version this connector should run",
    },
    exchangeMemoryBytes: {
      type: integer(1_048_576),
      default: 256 * 1024 * 1024,
      describe: "Credit for body bytes that may be granted and unread at a time, over all exchanges",
    },
    pingIntervalMs: {
      type: integer(100, 600_000),
      default: 5_000,
      describe: "Time between pings on a tunnel",
    },
    tunnelTimeoutMs: {
      type: integer(200, 3_600_000),
      default: 15_000,
      describe: "A tunnel without a byte received for this long is closed",
    },
    drainMs: {
      type: integer(0, 3_600_000),
      default: 30_000,
      describe: "Time that exchanges in flight get at shutdown before they are aborted",
    },
    logLevel: {
      type: oneOf("debug", "info", "warn", "error"),
      default: "info",
      describe: "Least severity that the admin log shows; the broker can change it while running",
    },
    logFormat: {
      type: oneOf("auto", "json", "pretty"),
      default: "auto",
      describe: "JSON lines or lines for people; auto: for people on a terminal",
    },
    sessionLog: {
      type: bool(),
      default: false,
      describe: "Write one line for each exchange; the broker can switch it while running",
    },
  },
  check: ({ brokerAddresses, pingIntervalMs, tunnelTimeoutMs }) => {
    const problems = problemsOfAddresses(brokerAddresses);
    if (pingIntervalMs >= tunnelTimeoutMs) problems.push("pingIntervalMs must be less than tunnelTimeoutMs");
    return problems;
  },
});

/** The connector's configuration, checked. */
export type ConnectorConfiguration = ConfigurationValues<typeof CONNECTOR_CONFIGURATION.keys>;
