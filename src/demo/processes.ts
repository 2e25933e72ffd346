/**
 * Broker and connector as the real, separate processes that they are: what the demo, the benchmark and the system
 * tests stand on. Whoever starts one stops it with `stop()`.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type AdminClient, adminClient } from "./admin_client.ts";
import { Child } from "./child.ts";
import { currentRuntime, type Runtime, sourceCommand } from "./runtime.ts";

/** How long a program may take until it is ready, in milliseconds; generous, for a busy machine. */
const READY_MS = 30_000;

/** Where a listener of the broker ended up. */
export interface Listener {
  address: string;
  port: number;
}

/** What is common to starting any of our programs. */
export interface ProgramOptions {
  /** Further command line arguments. */
  args?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Sees each log line, as it comes. */
  onLog?: (line: string) => void;
  /** What is run on Node in place of the sources: a module made of them, which ends with us by itself. */
  bundle?: string;
  /** Gives up starting; a program that is ready is stopped with its own `stop`. */
  signal?: AbortSignal;
}

/** How to start a broker. */
export interface BrokerOptions extends ProgramOptions {
  dataDir: string;
  /** `host:port` that connectors dial, where it is not the public listener itself. */
  publicAddress?: string;
  /** Listener addresses as `host:port`; any free port of the loopback by default. */
  plainListen?: string;
  publicListen?: string;
  adminListen?: string;
  /** Sockets that the broker inherits, as from a service manager: descriptors of ours by listener name. */
  sockets?: ReadonlyMap<string, number>;
}

/** A running broker. */
export interface BrokerProcess {
  child: Child;
  listeners: { public: Listener; plain: Listener; admin: Listener };
  /** Plain HTTP ingress, e.g. `http://127.0.0.1:8080/`; of no use where `plainListen` is empty. */
  plainUrl: string;
  adminUrl: string;
  adminTokenFile: string;
  adminToken: string;
  admin: AdminClient;
  caFingerprint: string;
  stop(): Promise<void>;
}

/** Starts a broker and waits until it listens. It runs on Node always: see the list of what is left out on Deno. */
export async function startBroker(options: BrokerOptions): Promise<BrokerProcess> {
  const loopback = "127.0.0.1:0";
  const { sockets } = options;
  const source = sourceCommand("node", "broker/main.ts", options.bundle);
  // Only the process itself knows its id, by which it knows that the sockets are for it.
  const { command, args } = sockets === undefined ? source : {
    command: "sh",
    args: ["-c", 'export LISTEN_PID=$$; exec "$@"', "sh", source.command, ...source.args],
  };
  const child = await Child.start({
    name: "broker",
    command,
    descriptors: sockets === undefined ? undefined : [...sockets.values()],
    args: [
      ...args,
      "run",
      ...["--data-dir", options.dataDir],
      ...["--plain-listen", options.plainListen ?? loopback],
      ...["--public-listen", options.publicListen ?? loopback],
      ...["--admin-listen", options.adminListen ?? loopback],
      ...(options.publicAddress === undefined ? [] : ["--public-address", options.publicAddress]),
      "--json",
      ...(options.args ?? []),
    ],
    env: sockets === undefined ? options.env : {
      ...options.env,
      LISTEN_FDS: String(sockets.size),
      LISTEN_FDNAMES: [...sockets.keys()].join(":"),
    },
    onLog: options.onLog,
  });
  try {
    const ready = await child.ready(READY_MS, options.signal) as Pick<
      BrokerProcess,
      "listeners" | "adminUrl" | "adminTokenFile" | "caFingerprint"
    >;
    const adminToken = (await readFile(ready.adminTokenFile, "utf8")).trim();
    return {
      child,
      listeners: ready.listeners,
      plainUrl: `http://127.0.0.1:${ready.listeners.plain?.port}/`,
      adminUrl: ready.adminUrl,
      adminTokenFile: ready.adminTokenFile,
      adminToken,
      admin: adminClient(ready.adminUrl, adminToken),
      caFingerprint: ready.caFingerprint,
      async stop() {
        await child.stop();
      },
    };
  } catch (error) {
    await child.stop(0);
    throw error;
  }
}

/** How to enrol or to start a connector. */
export interface ConnectorOptions extends ProgramOptions {
  stateDir: string;
  /** Default: whatever runs this process. */
  runtime?: Runtime;
}

/** What `register --json` printed. */
export type Registration = Readonly<Record<string, unknown>>;

/** Enrols a connector: runs `register` to its end and gives what it printed. */
export async function registerConnector(
  options: ConnectorOptions & { token: string },
): Promise<Registration> {
  const { command, args } = sourceCommand(options.runtime ?? currentRuntime, "connector/main.ts");
  const child = await Child.start({
    name: "connector (register)",
    command,
    args: [...args, "register", "--state-dir", options.stateDir, "--json", ...(options.args ?? [])],
    // Never on the command line: every user of the machine could read it there.
    env: { ...options.env, SALLYPORT_TOKEN: options.token },
    onLog: options.onLog,
  });
  const kill = () => child.signal("SIGKILL");
  const timer = setTimeout(kill, READY_MS);
  options.signal?.addEventListener("abort", kill, { once: true });
  const exit = await child.exited;
  clearTimeout(timer);
  options.signal?.removeEventListener("abort", kill);
  options.signal?.throwIfAborted();
  if (exit.code !== 0) throw child.died("while registering");
  return JSON.parse(child.lastOutput.at(-1) ?? "{}");
}

/** A running connector. */
export interface ConnectorProcess {
  child: Child;
  stateDir: string;
  stop(): Promise<void>;
}

/** Starts a registered connector and waits until its first tunnel is up. */
export async function startConnector(options: ConnectorOptions): Promise<ConnectorProcess> {
  const { command, args } = sourceCommand(
    options.runtime ?? currentRuntime,
    "connector/main.ts",
    options.bundle,
  );
  const child = await Child.start({
    name: "connector",
    command,
    args: [...args, "run", "--state-dir", options.stateDir, "--json", ...(options.args ?? [])],
    env: options.env,
    onLog: options.onLog,
  });
  try {
    await child.ready(READY_MS, options.signal);
  } catch (error) {
    await child.stop(0);
    throw error;
  }
  return {
    child,
    stateDir: options.stateDir,
    async stop() {
      await child.stop();
    },
  };
}

/** Registers and starts a connector whose state folder is `name` in `folder`. */
export async function addConnector(
  broker: BrokerProcess,
  folder: string,
  name: string,
  options: Omit<ConnectorOptions, "stateDir"> = {},
): Promise<ConnectorProcess & { id: string }> {
  const stateDir = join(folder, name);
  const token = await broker.admin.enrolmentToken();
  const registration = await registerConnector({
    stateDir,
    token,
    runtime: options.runtime,
    env: options.env,
  });
  const connector = await startConnector({ ...options, stateDir });
  return { ...connector, id: String(registration.connectorId ?? registration.id ?? "") };
}
