import { createServer, type SecureContext, type SecureVersion, type TLSSocket } from "node:tls";
import type { Socket } from "node:net";
import type { ConnectionLimit } from "./connection_limit.ts";
import type { Log } from "../../platform/log.ts";
import {
  type ConnectionTarget,
  DEFAULT_LIMITS,
  type IngressHandlers,
  type IngressLimits,
} from "./handlers.ts";
import { createHttp1 } from "./http1.ts";
import { createHttp2 } from "./http2.ts";

/** Where the public TLS server gets its certificates from. */
export interface CertificateSource {
  /** The certificate for a name; for undefined (the client names none) the default. Undefined: no certificate. */
  contextFor(serverName: string | undefined): SecureContext | undefined;
  /** PEM certificate and key of the default, for clients that name no server. */
  readonly fallback: { readonly cert: string; readonly key: string } | undefined;
  /** Calls `listener` after certificates were read again; returns the way to stop. */
  onChange(listener: () => void): () => void;
}

/** Settings of the TLS server that users reach. */
export interface PublicTlsOptions {
  readonly certificates: CertificateSource;
  readonly handlers: IngressHandlers;
  readonly log: Log;
  readonly minVersion?: SecureVersion;
  readonly limits?: Partial<IngressLimits>;
  readonly connections?: ConnectionLimit;
  /** Time in milliseconds that a TLS handshake may take. */
  readonly handshakeTimeoutMs?: number;
}

/** The TLS server that users reach; it listens nowhere, a `OnePort` hands it connections. */
export interface PublicTls extends ConnectionTarget, AsyncDisposable {
  /** Idle connections end at once; the others have `graceMs` to finish, then they are destroyed. */
  close(graceMs: number): Promise<void>;
}

/**
 * Ends TLS for users and splits by ALPN into HTTP/1.1 and HTTP/2, the cheapest way measured. Certificates are chosen
 * by name for each handshake, so that renewed ones serve the next connection. Never asks for a client certificate.
 */
export function createPublicTls(options: PublicTlsOptions): PublicTls {
  const { certificates, handlers, log, minVersion = "TLSv1.2" } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const http1 = createHttp1(handlers, limits);
  const http2 = createHttp2(handlers, limits);
  const sockets = new Set<Socket>();

  const fallbackOptions = () => ({ ...certificates.fallback, minVersion });
  const server = createServer({
    ...fallbackOptions(),
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: options.handshakeTimeoutMs ?? 10_000,
    SNICallback(serverName, done) {
      const context = certificates.contextFor(serverName);
      if (context === undefined) done(new Error(`No certificate for "${serverName}"`));
      else done(null, context);
    },
  });
  // Without a name in its hello a client gets the server's own certificate, which is renewed here.
  const stopFollowing = certificates.onChange(() => server.setSecureContext(fallbackOptions()));

  server.on("secureConnection", (socket: TLSSocket) => {
    (socket.alpnProtocol === "h2" ? http2 : http1).server.emit("connection", socket);
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    log.debug("TLS handshake failed", { reason: error.code ?? error.message, peer: socket.remoteAddress });
    limits.onEnded("tls_handshake");
    // The server only reports; also when the handshake takes too long.
    socket.destroy();
  });

  let closing = false;
  const close = async (graceMs: number): Promise<void> => {
    closing = true;
    stopFollowing();
    await Promise.all([http1.close(graceMs), http2.close(graceMs)]);
    // Those whose handshake has not ended.
    for (const socket of sockets) socket.destroy();
  };
  return {
    emit(_event, socket) {
      if (closing) {
        socket.destroy();
        return true;
      }
      if (options.connections?.admit(socket) === false) return true;
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      return server.emit("connection", socket);
    },
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}
