import { z } from "zod";
import { type ConfigurationValues, defineConfiguration } from "../platform/configuration.ts";
import {
  address,
  bool,
  cidrList,
  dnsName,
  integer,
  oneOf,
  structured,
  text,
  textList,
} from "../platform/configuration_value.ts";

const CERTIFICATES = z.array(z.strictObject({
  /** Host names, exact or `*.example.com`. */
  hosts: z.array(z.string().min(1)).min(1),
  certFile: z.string().min(1),
  keyFile: z.string().min(1),
}));

/** Everything a broker can be told from outside. */
export const BROKER_CONFIGURATION = defineConfiguration({
  program: "sallyport-broker",
  otherVariables: [
    "SALLYPORT_ADMIN_URL",
    "SALLYPORT_ADMIN_TOKEN",
    "SALLYPORT_ADMIN_TOKEN_FILE",
    "SALLYPORT_STATE_DIR",
    "SALLYPORT_ALLOW",
    "SALLYPORT_BACKEND_CLIENT_CERTIFICATES",
    "SALLYPORT_TUNNELS",
    "SALLYPORT_BROKER_ADDRESSES",
    "SALLYPORT_CONFIG_PULL_INTERVAL_MS",
    "SALLYPORT_VERSION_POLL_INTERVAL_MS",
    "SALLYPORT_TOKEN",
    "SALLYPORT_TOKEN_FILE",
    "SALLYPORT_CA_KEY",
    "SALLYPORT_MACHINE_NAME",
    "SALLYPORT_CA_FINGERPRINT",
    "SALLYPORT_KEY_TYPE",
    "SALLYPORT_ANSWER_FILE",
    "SALLYPORT_FORCE",
    "SALLYPORT_STEP_TIMEOUT_MS",
    "SALLYPORT_FIPS",
    "SALLYPORT_PROXY",
    "SALLYPORT_PROXY_CREDENTIALS",
    "SALLYPORT_PROXY_CREDENTIALS_FILE",
    "SALLYPORT_PROXY_CA_FILE",
    "SALLYPORT_BACKEND_PROXY",
    "SALLYPORT_BACKEND_PROXY_CREDENTIALS",
    "SALLYPORT_BACKEND_PROXY_CREDENTIALS_FILE",
    "SALLYPORT_BACKEND_PROXY_CA_FILE",
  ],
  keys: {
    dataDir: {
      type: text(),
      default: "/var/lib/sallyport-broker",
      describe: "Folder of the store, the CA and the admin token",
    },
    publicListen: {
      type: address(),
      default: "[::]:443",
      describe: "TLS port for users, and for connectors unless tunnelListen is set; empty: off",
    },
    tunnelListen: {
      type: address(),
      default: "",
      describe: "TLS port for connectors alone; empty: they share publicListen",
      example: "[::]:8443",
    },
    plainListen: {
      type: address(),
      default: "",
      describe: "Plain HTTP port for users, e.g. behind a load balancer that ends TLS; empty: off",
      example: "127.0.0.1:8080",
    },
    adminListen: {
      type: address(),
      default: "127.0.0.1:9180",
      describe: "Port of the admin API (described at /api/v1/docs), /metrics, /livez and /readyz",
    },
    publicAddress: {
      type: address(),
      default: "",
      describe:
        "host:port that connectors dial, as written into enrolment tokens; empty: derived from the listener",
      example: "tunnel.example.com:443",
    },
    tunnelName: {
      type: dnsName(),
      default: "tunnel.sallyport.internal",
      describe: "TLS server name of the tunnel listener",
    },
    enrolName: {
      type: dnsName(),
      default: "enrol.sallyport.internal",
      describe: "TLS server name of enrolment",
    },
    connectorCertificateMs: {
      type: integer(3_000, 397 * 86_400_000),
      default: 90 * 86_400_000,
      describe: "Life of a connector's certificate; it is renewed after two thirds of it",
    },
    certificateRenewalsPerHour: {
      type: integer(1, 100_000),
      default: 20,
      describe: "New certificates that one connector may have in an hour",
    },
    caKeyFile: {
      type: text(),
      default: "",
      describe:
        "File with the key that encrypts the CA's keys at rest, 16 characters or more; without it SALLYPORT_CA_KEY, else they are plain",
      example: "/run/secrets/sallyport-ca-key",
    },
    caOverlapMs: {
      type: integer(1_000, 3_650 * 86_400_000),
      default: 180 * 86_400_000,
      describe: "Time that a new root is announced to connectors before it is used",
    },
    caCheckIntervalMs: {
      type: integer(100, 86_400_000),
      default: 60_000,
      describe: "Time between looks at what is due in the CA, or was changed by a ca command",
    },
    caSignCommand: {
      type: textList("list of text: program and arguments"),
      default: [],
      describe: "Program that signs certificates with a CA elsewhere; empty: the CA's keys are in dataDir",
      example: "/usr/local/bin/sign-with-hsm,slot-1",
    },
    caCertificatesFile: {
      type: text(),
      default: "",
      describe: "With caSignCommand: PEM file of the issuing certificate, then its root and any others",
      example: "/etc/sallyport/ca.pem",
    },
    caSignTimeoutMs: {
      type: integer(100, 600_000),
      default: 10_000,
      describe: "Time for one signature by caSignCommand",
    },
    certificates: {
      type: structured("list of { hosts, certFile, keyFile }; JSON in a flag or variable", CERTIFICATES),
      default: [],
      describe: "Public certificates by host pattern, PEM files, read again when they change",
      example:
        '[{"hosts":["*.example.com"],"certFile":"/etc/ssl/example.pem","keyFile":"/etc/ssl/example.key"}]',
    },
    drainDelayMs: {
      type: integer(0, 600_000),
      default: 0,
      describe:
        "Time for which /readyz says no at shutdown before the listeners close, for a load balancer to see it",
    },
    inactiveAfterMs: {
      type: integer(1_000, 86_400_000),
      default: 60_000,
      describe: "Time without a tunnel after which a connector is shown as inactive",
    },
    removeInactiveAfterMs: {
      type: integer(0, 3_650 * 86_400_000),
      default: 10 * 86_400_000,
      describe: "Time without a tunnel, while a broker runs, after which a connector is removed; 0: never",
    },
    trustedProxies: {
      type: cidrList(),
      default: [],
      describe:
        "Networks whose X-Forwarded-For, -Proto and -Host, Forwarded and PROXY protocol headers are believed; proxies there must set or remove them",
      example: "10.0.0.0/8,fd00::/8",
    },
    proxyProtocolIngress: {
      type: bool(),
      default: false,
      describe: "Require a PROXY protocol v1/v2 header on user connections from trustedProxies",
    },
    proxyProtocolTunnel: {
      type: bool(),
      default: false,
      describe:
        "Require a PROXY protocol v1/v2 header on connector connections from trustedProxies (own tunnelListen)",
    },
    tlsMinVersion: {
      type: oneOf("TLSv1.2", "TLSv1.3"),
      default: "TLSv1.2",
      describe: "Oldest TLS version for users",
    },
    tunnelTlsMinVersion: {
      type: oneOf("TLSv1.2", "TLSv1.3"),
      default: "TLSv1.3",
      describe: "Oldest TLS version for connectors",
    },
    drainMs: {
      type: integer(0, 3_600_000),
      default: 30_000,
      describe: "Time that exchanges in flight get at shutdown before they are aborted",
    },
    waitForConnectorMs: {
      type: integer(0, 600_000),
      default: 5_000,
      describe: "Time that a request waits for a connector before it is answered 503",
    },
    waitForConnectorMax: {
      type: integer(0, 1_000_000),
      default: 1_000,
      describe: "Requests for one app that may wait for a connector at a time",
    },
    maxRequestHeadBytes: {
      type: integer(1_024, 65_536),
      default: 65_536,
      describe: "Largest request head from a user",
    },
    maxRequestHeaders: {
      type: integer(10, 250),
      default: 200,
      describe: "Most header lines in a request",
    },
    userIdleMs: {
      type: integer(0, 86_400_000),
      default: 120_000,
      describe:
        "Time that a user may neither go on with an upload nor read a response, before the request is ended; 0: no limit",
    },
    maxUserConnections: {
      type: integer(1, 1_000_000),
      default: 32_768,
      describe: "Connections of users at a time; further ones are closed (connectors are not counted)",
    },
    maxUserConnectionsPerSource: {
      type: integer(0, 1_000_000),
      default: 4_096,
      describe:
        "Connections at a time from one address, or one /64 of IPv6, other than trustedProxies; 0: no limit",
    },
    helloTimeoutMs: {
      type: integer(100, 60_000),
      default: 5_000,
      describe:
        "Time for the first bytes of a connection (PROXY header, ClientHello), and then for its TLS handshake",
    },
    requestHeadTimeoutMs: {
      type: integer(100, 600_000),
      default: 20_000,
      describe: "Time that a user has for a request head, and for the first request of an HTTP/2 connection",
    },
    userIdleTimeoutMs: {
      type: integer(100, 3_600_000),
      default: 75_000,
      describe: "A connection of a user without a request for this long is closed",
    },
    exchangeMemoryBytes: {
      type: integer(1_048_576),
      default: 256 * 1024 * 1024,
      describe: "Credit for body bytes that may be granted and unread at a time, over all exchanges",
    },
    maxLanesPerTunnel: {
      type: integer(16, 65_536),
      default: 16_384,
      describe: "Most lanes (exchanges at a time) of one tunnel",
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
    probeIntervalMs: {
      type: integer(50, 600_000),
      default: 1_000,
      describe: "Time between probe exchanges on a tunnel that serves nothing else",
    },
    probeTimeoutMs: {
      type: integer(50, 600_000),
      default: 1_500,
      describe:
        "A probe exchange without an answer for this long is a miss; two misses take the tunnel out of rotation",
    },
    logLevel: {
      type: oneOf("debug", "info", "warn", "error"),
      default: "info",
      describe:
        "Least severity that the admin log shows; the administrator's setting wins once it is changed",
    },
    logFormat: {
      type: oneOf("auto", "json", "pretty"),
      default: "auto",
      describe: "JSON lines or lines for people; auto: for people on a terminal",
    },
    sessionLog: {
      type: bool(),
      default: false,
      describe: "Write one line for each exchange; can be switched while running",
    },
  },
  check: (values) => {
    const wrong: string[] = [];
    if (values.publicListen === "" && values.tunnelListen === "") {
      wrong.push("publicListen and tunnelListen are both empty: connectors could not reach this broker");
    }
    if (values.adminListen === "") {
      wrong.push("adminListen is empty: nothing could be published and no connector enrolled");
    }
    if (values.caSignCommand.length > 0 && values.caCertificatesFile === "") {
      wrong.push("caSignCommand needs caCertificatesFile");
    }
    if (values.pingIntervalMs >= values.tunnelTimeoutMs) {
      wrong.push("pingIntervalMs must be less than tunnelTimeoutMs");
    }
    if (values.tunnelName === values.enrolName) {
      wrong.push("tunnelName and enrolName must differ");
    }
    if (values.proxyProtocolTunnel && values.tunnelListen === "" && !values.proxyProtocolIngress) {
      wrong.push(
        "proxyProtocolTunnel on a shared port needs proxyProtocolIngress as well, or a tunnelListen of its own",
      );
    }
    if ((values.proxyProtocolIngress || values.proxyProtocolTunnel) && values.trustedProxies.length === 0) {
      wrong.push("the PROXY protocol is on, but trustedProxies is empty: nobody could connect");
    }
    return wrong;
  },
});

/** The broker's configuration, checked. */
export type BrokerConfiguration = ConfigurationValues<typeof BROKER_CONFIGURATION.keys>;
