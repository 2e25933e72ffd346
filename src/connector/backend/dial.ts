import { lookup as systemLookup } from "node:dns";
import type { LookupAddress } from "node:dns";
import { connect as connectTcp, isIP } from "node:net";
import type { LookupFunction, Socket, TcpNetConnectOpts } from "node:net";
import { connect as connectTls } from "node:tls";
import type { AppBackendTls } from "../../protocol/app.ts";
import type { AllowList } from "./allow_list.ts";
import type { Proxy, ProxyFor } from "../outbound/proxy.ts";
import { connectThroughProxy } from "../outbound/proxy_socket.ts";
import { connectError } from "./classify.ts";
import type { ClientCertificates } from "./client_certificates.ts";
import type { DialPhase } from "./classify.ts";
import { BackendError } from "./errors.ts";
import { behindResolver } from "./exhaustion.ts";
import type { Origin } from "./origin.ts";

/** How names become addresses: as `dns.lookup` with `all: true`. What it gives, if anything, says that the answer is of no interest any more. */
export type Lookup = (
  hostname: string,
  options: { all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void | (() => void);

/** The system's resolver. */
export const defaultLookup: Lookup = (hostname, options, callback) => {
  systemLookup(hostname, options, callback);
};

/** What it takes to connect to the backend of one app. */
export interface DialSettings {
  origin: Origin;
  tls: AppBackendTls;
  /** Protocol asked for in the TLS handshake; `http/1.1` where nothing is said. */
  alpn?: string;
  /** Milliseconds for name, TCP and TLS together; 0: no limit. */
  connectMs: number;
  allow: AllowList;
  lookup: Lookup;
  clientCertificates: ClientCertificates;
  /** The proxy on the way; it is told the address that was checked, never a name. None by default. */
  proxyFor?: ProxyFor | undefined;
  /** TLS session of an earlier connection with the same settings, to be resumed; kept up to date here. */
  session?: Buffer;
}

/** Told once: a connected socket without listeners of ours, or why there is none. */
export type Dialled = (error: BackendError | null, socket: Socket | null) => void;

/** Told when a step was passed: `dns` with the addresses, `tcp` and `tls` with the one connected to. */
export type DialStep = (phase: DialPhase, addresses: readonly string[]) => void;

/** Time for one of several addresses of a name before the next is tried, in milliseconds. */
const ADDRESS_TRY_MS = 500;
/** Most addresses of a name that are tried. */
const MAX_ADDRESSES = 16;
/** Through a proxy they are tried one after the other. */
const MAX_PROXY_TRIES = 4;
/** Time for a step at a proxy where the app sets no limit, in milliseconds. */
const PROXY_STEP_MS = 30_000;

/**
 * One attempt to connect to a backend: resolves the name, drops the addresses that the allow list refuses, and connects
 * to one of the very addresses that were checked (so a name that resolves otherwise a moment later changes nothing).
 */
export class Dial {
  readonly #settings: DialSettings;
  #dialled: Dialled | null;
  readonly #step: DialStep | null;
  #phase: DialPhase = "dns";
  #socket: Socket | null = null;
  #leaveLookup: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Aborted when the attempt has failed: gives up what is under way at a proxy. */
  readonly #gone: AbortController = new AbortController();

  constructor(settings: DialSettings, dialled: Dialled, step: DialStep | null = null) {
    this.#settings = settings;
    this.#dialled = dialled;
    this.#step = step;
  }

  start(): void {
    const { origin, connectMs, lookup } = this.#settings;
    if (connectMs > 0) this.#timer = setTimeout(() => this.#timedOut(), connectMs);
    const family = isIP(origin.host);
    if (family !== 0) return this.#resolved([{ address: origin.host, family }]);
    this.#leaveLookup = lookup(origin.host, { all: true }, (error, addresses) => {
      if (this.#dialled === null) return;
      if (error !== null) this.#fail(behindResolver(error));
      else this.#resolved(addresses);
    }) ?? null;
  }

  /** Stops at once; `dialled` is told `backend_closed`. */
  cancel(): void {
    this.#fail(
      new BackendError("backend_closed", `Connecting to "${this.#settings.origin.target}" was given up`),
    );
  }

  #resolved(addresses: readonly LookupAddress[]): void {
    const { origin, allow } = this.#settings;
    this.#step?.("dns", addresses.map(({ address }) => address));
    const permitted = addresses.filter(({ address }) => allow.permits(origin.host, origin.port, address));
    if (permitted.length === 0) return this.#fail(this.#refusal(addresses));
    this.#phase = "tcp";
    const { proxyFor } = this.#settings;
    if (proxyFor === undefined) return this.#connect(permitted.slice(0, MAX_ADDRESSES));
    try {
      const proxy = proxyFor({ host: origin.host, port: origin.port });
      if (proxy === null) this.#connect(permitted.slice(0, MAX_ADDRESSES));
      else void this.#connectThrough(proxy, permitted.slice(0, MAX_PROXY_TRIES));
    } catch (error) {
      this.#fail(error); // Credentials that cannot be read.
    }
  }

  #refusal(addresses: readonly LookupAddress[]): BackendError {
    const { target } = this.#settings.origin;
    const found = addresses.map(({ address }) => address);
    if (found.length === 0) {
      return new BackendError("backend_dns_failed", `Cannot resolve backend "${target}": no address`);
    }
    return new BackendError(
      "backend_not_allowed",
      `Backend "${target}" is not allowed on this connector: it resolves to ${
        found.map((a) => `"${a}"`).join(", ")
      }`,
      { details: { target, addresses: found } },
    );
  }

  #connect(permitted: LookupAddress[]): void {
    const { origin } = this.#settings;
    const options = addressOptions(permitted, origin);
    let socket: Socket;
    try {
      socket = origin.tls ? this.#connectTls(options) : connectTcp(options);
    } catch (error) {
      return this.#fail(error); // A certificate that cannot be used.
    }
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 60_000);
    socket.once("connect", this.#onConnect);
    socket.once("error", this.#onError);
    socket.once("close", this.#onClose);
    if (origin.tls) socket.once("secureConnect", this.#onSecure);
  }

  /** One address after the other: only the proxy can tell which of them it reaches. */
  async #connectThrough(proxy: Proxy, permitted: readonly LookupAddress[]): Promise<void> {
    const { origin, connectMs } = this.#settings;
    const stepMs = connectMs > 0 ? connectMs : PROXY_STEP_MS;
    let failure: unknown;
    for (const { address } of permitted) {
      const target = { host: address, port: origin.port };
      const { signal } = this.#gone;
      let socket: Socket;
      try {
        socket = await connectThroughProxy(proxy, target, { stepMs, signal });
      } catch (error) {
        failure = error;
        continue;
      }
      if (this.#dialled === null) return void socket.on("error", ignore).destroy();
      return this.#throughProxy(socket, address);
    }
    this.#fail(failure);
  }

  #throughProxy(tunnel: Socket, address: string): void {
    this.#step?.("tcp", [address]);
    if (!this.#settings.origin.tls) return this.#finish(null, tunnel);
    this.#phase = "tls";
    let socket: Socket;
    try {
      socket = this.#connectTls({ socket: tunnel });
    } catch (error) {
      tunnel.on("error", ignore).destroy();
      return this.#fail(error);
    }
    this.#socket = socket;
    socket.once("error", this.#onError);
    socket.once("close", this.#onClose);
    socket.once("secureConnect", this.#onSecure);
  }

  #connectTls(options: TcpNetConnectOpts | { socket: Socket }): Socket {
    const { origin, tls, session, alpn = "http/1.1", clientCertificates } = this.#settings;
    const own = tls.clientCertificate === undefined ? {} : clientCertificates.read(tls.clientCertificate);
    const socket = connectTls({
      ...options,
      servername: tls.serverName ?? (isIP(origin.host) === 0 ? origin.host : undefined),
      ca: tls.ca,
      minVersion: tls.minVersion,
      ...own,
      rejectUnauthorized: tls.validate,
      ALPNProtocols: [alpn],
      session,
    });
    // Stays for the life of the socket: a TLS 1.3 server sends its tickets after the handshake.
    socket.on("session", (ticket: Buffer) => this.#settings.session = ticket);
    return socket;
  }

  readonly #onConnect = () => {
    const socket = this.#socket!;
    this.#step?.("tcp", [socket.remoteAddress ?? ""]);
    if (!this.#settings.origin.tls) return this.#done(socket);
    this.#phase = "tls";
  };

  readonly #onSecure = () => {
    this.#step?.("tls", [this.#socket!.remoteAddress ?? ""]);
    this.#done(this.#socket!);
  };

  readonly #onError = (error: Error) => {
    this.#settings.session = undefined;
    this.#fail(error);
  };

  readonly #onClose = () => this.#fail(new Error("the other side closed the connection"));

  #timedOut(): void {
    const { origin, connectMs } = this.#settings;
    const doing =
      { dns: "its name had no answer", tcp: "no answer", tls: "TLS handshake not finished" }[this.#phase];
    this.#fail(
      new BackendError(
        "backend_connect_timeout",
        `Cannot connect to backend "${origin.target}": ${doing} within ${connectMs} ms`,
        { retryable: true, details: { target: origin.target, phase: this.#phase } },
      ),
    );
  }

  #done(socket: Socket): void {
    socket.removeListener("error", this.#onError);
    this.#finish(null, socket);
  }

  #fail(cause: unknown): void {
    if (this.#dialled === null) return;
    const socket = this.#socket;
    if (socket !== null) {
      socket.removeListener("error", this.#onError);
      // What else it has to say after its end is of no interest.
      socket.on("error", ignore);
      socket.destroy();
    }
    this.#finish(connectError(this.#settings.origin.target, this.#phase, cause), null);
  }

  #finish(error: BackendError | null, socket: Socket | null): void {
    const dialled = this.#dialled;
    this.#dialled = null;
    if (this.#phase === "dns") this.#leaveLookup?.();
    if (error !== null) this.#gone.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.removeListener("connect", this.#onConnect);
    this.#socket?.removeListener("secureConnect", this.#onSecure);
    this.#socket?.removeListener("close", this.#onClose);
    this.#socket = null;
    dialled?.(error, socket);
  }
}

function ignore(): void {}

/** Options that connect to one of `permitted` and to nothing else. */
function addressOptions(permitted: LookupAddress[], origin: Origin): TcpNetConnectOpts {
  const { host, port } = origin;
  const [first] = permitted;
  const lookup: LookupFunction = (_name, options, callback) =>
    options.all === true ? callback(null, permitted) : callback(null, first!.address, first!.family);
  // One read gives up to 64 KiB, whatever the mark: with a higher one, a response that is paused keeps two of them.
  const common = { port, writableHighWaterMark: 64 * 1024, readableHighWaterMark: 16 * 1024 };
  if (isIP(host) !== 0) return { ...common, host };
  return {
    ...common,
    host,
    lookup,
    autoSelectFamily: permitted.length > 1,
    autoSelectFamilyAttemptTimeout: ADDRESS_TRY_MS,
  };
}
