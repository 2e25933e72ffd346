import type { Socket } from "node:net";
import { type Acceptor, type AcceptorOptions, createAcceptor } from "./acceptor.ts";
import { CLIENT_HELLO_LIMIT, type ClientHello, parseClientHello } from "./client_hello.ts";
import type { ConnectionTarget } from "./handlers.ts";

/** Settings of a TLS port that several TLS servers share. */
export interface OnePortOptions extends AcceptorOptions {
  /** The server for a client, by what it asks for; undefined: nobody here has that name. */
  readonly targetOf: (hello: ClientHello) => ConnectionTarget | undefined;
}

/** A fatal alert `unrecognized_name` (RFC 6066 section 3), as a plaintext record of TLS. */
const UNRECOGNIZED_NAME = Uint8Array.of(21, 3, 3, 0, 2, 2, 112);

/**
 * One TLS port for several TLS servers, told apart by the name in the ClientHello, which is looked at and given back.
 * Whether a client is asked for a certificate is a matter of the server, so users and connectors cannot share one.
 */
export function createOnePort(options: OnePortOptions): Acceptor {
  const acceptor = createAcceptor(options, (socket) => {
    acceptor.look(socket, { parse: parseClientHello, limit: CLIENT_HELLO_LIMIT }, (hello) => {
      const target = options.targetOf(hello);
      if (target !== undefined) target.emit("connection", socket);
      else refuse(socket);
    });
  });
  return acceptor;
}

/** Says why and closes, without waiting for a peer that does not. */
function refuse(socket: Socket): void {
  socket.on("error", () => {});
  socket.end(UNRECOGNIZED_NAME, () => socket.destroySoon());
  socket.resume();
}
