import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/** The TCP socket of a user's connection, below TLS where there is any; null where it is not known. */
export function tcpSocketOf(connection: Duplex): Socket | null {
  const below = (connection as { _parent?: Duplex | null })._parent ?? connection;
  return below instanceof Socket ? below : null;
}
