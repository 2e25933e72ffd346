import { type Acceptor, type AcceptorOptions, createAcceptor } from "./acceptor.ts";
import type { ConnectionLimit } from "./connection_limit.ts";
import { DEFAULT_LIMITS, type IngressHandlers, type IngressLimits } from "./handlers.ts";
import { createHttp1 } from "./http1.ts";

/** Settings of the ingress without TLS. */
export interface PlainOptions extends AcceptorOptions {
  readonly handlers: IngressHandlers;
  readonly limits?: Partial<IngressLimits>;
  readonly connections?: ConnectionLimit;
}

/** HTTP/1.1 without TLS: for the demo, behind a load balancer that ends TLS, and for redirects. */
export function createPlain(options: PlainOptions): Acceptor {
  const http1 = createHttp1(options.handlers, { ...DEFAULT_LIMITS, ...options.limits });
  const acceptor = createAcceptor({ ...options, allowHalfOpen: true }, (socket) => {
    if (options.connections?.admit(socket) === false) return;
    http1.server.emit("connection", socket);
    // Paused where the PROXY protocol was read before.
    socket.resume();
  });
  const close = async (graceMs: number): Promise<void> => {
    await Promise.all([acceptor.close(graceMs), http1.close(graceMs)]);
  };
  return {
    look: acceptor.look,
    get counts() {
      return acceptor.counts;
    },
    listen: () => acceptor.listen(),
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}
