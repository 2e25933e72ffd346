import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { listenFailure } from "../../platform/listen_address.ts";
import type { Log } from "../../platform/log.ts";
import { type CidrList, normalizeAddress } from "./address.ts";
import type { EndCause } from "../metrics/end_causes.ts";
import { noteClientAddress } from "./client_address.ts";
import { ListenerError } from "./errors.ts";
import { type FrontOutcome, type FrontStep, readFront } from "./front.ts";
import { parseProxyHeader, PROXY_HEADER_LIMIT } from "./proxy_protocol.ts";

/** Where a listener listens. */
export interface ListenAddress {
  /** `::` is every address of the host, IPv4 too; where the host has no IPv6 it falls back to `0.0.0.0`. */
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Settings that every listener has. */
export interface AcceptorOptions extends ListenAddress {
  readonly log: Log;
  /**
   * Sources whose connections begin with a PROXY protocol header; every other source is a direct client. An empty
   * list means every source; undefined switches the PROXY protocol off.
   */
  readonly proxyProtocol?: CidrList | undefined;
  /** Time in milliseconds for everything that is read before a connection is handed on. */
  readonly frontTimeoutMs?: number;
  /** Connections being looked at, at a time; for a further one the oldest is closed. */
  readonly maxFronts?: number;
  /**
   * Leave our side of a connection open when the peer has ended its own: right for plain HTTP, which answers such a
   * request, and wrong below TLS, where HTTP/2 would not notice that the peer is gone.
   */
  readonly allowHalfOpen?: boolean;
  /** Told of connections that are closed before they are handed on. */
  readonly onEnded?: (cause: EndCause) => void;
  /** Told of each connection that is accepted. */
  readonly onAccepted?: () => void;
  /** Several processes may listen on the same port. */
  readonly reusePort?: boolean;
  /** Descriptor of a socket that listens already; the address counts for nothing then. */
  readonly descriptor?: number | undefined;
}

/** Reads the front of one connection within the listener's bounds; closes it where that fails. */
export type Look = <T>(
  socket: Socket,
  how: { parse: (bytes: Uint8Array) => FrontStep<T>; limit: number },
  done: (value: T) => void,
) => void;

/** A running listener of connections. */
export interface Acceptor extends AsyncDisposable {
  /** Rejects with `ListenerError` `listen_failed`. */
  listen(): Promise<{ address: string; port: number }>;
  /**
   * Accepts nothing more and closes what is still being looked at; whoever has taken a connection over has `graceMs`
   * to finish it, then it is destroyed. Resolves when no connection is left. Calling again can only shorten it.
   */
  close(graceMs: number): Promise<void>;
  /** Reads the front of a connection that was just handed on. */
  readonly look: Look;
  /** Connections open, and of them those still being looked at. */
  readonly counts: { readonly open: number; readonly looking: number };
}

/** Time and number of connections for what is read before a connection is handed on. */
export const FRONT_TIMEOUT_MS = 5_000;
export const MAX_FRONTS = 4_096;

/**
 * Accepts TCP connections, reads the PROXY protocol where it is on, and hands each connection to `onConnection`,
 * paused only if something was read. Knows every connection that it accepted.
 */
export function createAcceptor(options: AcceptorOptions, onConnection: (socket: Socket) => void): Acceptor {
  const {
    log,
    proxyProtocol,
    frontTimeoutMs = FRONT_TIMEOUT_MS,
    maxFronts = MAX_FRONTS,
    allowHalfOpen = false,
    onEnded = () => {},
    onAccepted = () => {},
  } = options;
  const open = new Set<Socket>();
  /** When a connection must have been handed on, and how to stop looking at it. */
  const looking = new Map<Socket, () => void>();
  const deadlines = new WeakMap<Socket, number>();

  const server = createServer({ noDelay: true, keepAlive: true, allowHalfOpen }, (socket) => {
    open.add(socket);
    onAccepted();
    socket.once("close", () => open.delete(socket));
    const source = normalizeAddress(socket.remoteAddress ?? "");
    if (proxyProtocol === undefined || !(proxyProtocol.empty || proxyProtocol.contains(source))) {
      return onConnection(socket);
    }
    look(socket, { parse: parseProxyHeader, limit: PROXY_HEADER_LIMIT }, (header) => {
      if (header.source !== undefined) noteClientAddress(socket, header.source);
      onConnection(socket);
    });
  });
  server.on("error", (error) => {
    // One that cannot even begin says so to who asked it to.
    if (server.listening) log.error("Listener failed", { error: error.message });
  });

  /** Whoever has said nothing for longest is the least likely to be a user: theirs comes within a round trip. */
  const giveUpOldest = () => {
    const [oldest] = looking;
    if (oldest === undefined) return;
    const [socket, stop] = oldest;
    looking.delete(socket);
    stop();
    onEnded("too_many_hellos");
    log.debug("Connection closed", { reason: "too many connections being looked at" });
    socket.on("error", () => {});
    socket.destroy();
  };

  const look: Look = (socket, { parse, limit }, done) => {
    if (looking.size >= maxFronts) giveUpOldest();
    const now = performance.now();
    const deadline = deadlines.get(socket) ?? now + frontTimeoutMs;
    deadlines.set(socket, deadline);
    const finish = <T>(outcome: FrontOutcome<T>, then: (value: T) => void) => {
      looking.delete(socket);
      if (outcome.ok) return then(outcome.value);
      if (!outcome.gone) onEnded(outcome.reason === "timeout" ? "hello_timeout" : "hello_malformed");
      log.debug("Connection closed", { reason: outcome.reason, peer: socket.remoteAddress });
      // Listens on: what fails while being destroyed must not end the process.
      socket.on("error", () => {});
      socket.destroy();
    };
    const timeoutMs = Math.max(0, deadline - now);
    looking.set(socket, readFront(socket, { parse, limit, timeoutMs }, (outcome) => finish(outcome, done)));
  };

  let closed: Promise<void> | undefined;
  const destroyAll = () => {
    for (const socket of open) socket.destroy();
  };
  const close = async (graceMs: number): Promise<void> => {
    closed ??= new Promise((resolve) => {
      server.close(() => resolve());
      for (const [socket, stop] of looking) {
        stop();
        socket.destroy();
      }
      looking.clear();
    });
    const timer = setTimeout(destroyAll, graceMs);
    if (graceMs === 0) destroyAll();
    await closed;
    clearTimeout(timer);
    // The server counts a connection out a moment before its `close` is told.
    for (const socket of open) await new Promise((resolve) => socket.once("close", resolve));
  };

  return {
    look,
    get counts() {
      return { open: open.size, looking: looking.size };
    },
    listen: () => listen(server, options),
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}

/** Codes with which a host without IPv6 refuses `::`. */
const NO_IPV6 = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EINVAL"]);

async function listen(
  server: Server,
  { address, port, reusePort, descriptor }: AcceptorOptions,
): Promise<{ address: string; port: number }> {
  try {
    if (descriptor !== undefined) return await listenOn(server, { fd: descriptor });
    return await listenOn(server, { host: address, port, reusePort: reusePort ?? false });
  } catch (error) {
    if (address === "::" && NO_IPV6.has((error as NodeJS.ErrnoException).code ?? "")) {
      return await listen(server, { address: "0.0.0.0", port, reusePort } as AcceptorOptions);
    }
    throw new ListenerError(
      "listen_failed",
      `Cannot listen on "${address}" port ${port}: ${listenFailure(error)}`,
      {
        cause: error,
        details: { address, port },
      },
    );
  }
}

function listenOn(
  server: Server,
  where: { host: string; port: number; reusePort: boolean } | { fd: number },
): Promise<{ address: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...where, backlog: 4096 }, () => {
      server.off("error", reject);
      const bound = server.address() as AddressInfo;
      resolve({ address: bound.address, port: bound.port });
    });
  });
}
