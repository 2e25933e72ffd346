import type { Duplex } from "node:stream";
import { tcpSocketOf } from "./tcp_socket.ts";

/**
 * Ends a user's connection by a TCP reset, so that what came before cannot be taken for all there is: a response
 * without a length, as HTTP/1.0 has it, is whole to its reader when the connection ends in peace.
 */
export function resetConnection(socket: Duplex): void {
  // A TLS socket cannot reset; the one below it can.
  const below = tcpSocketOf(socket);
  // One that is being ended would stay open instead: Node answers a reset then with EINVAL.
  if (below !== null && !below.destroyed && !below.writableEnded) below.resetAndDestroy();
  socket.destroy();
}
