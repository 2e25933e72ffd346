import type { Socket } from "node:net";
import { type AddressedSocket, normalizeAddress, type PeerAddress } from "./address.ts";

const known = new WeakMap<AddressedSocket, PeerAddress>();
/** Told by PROXY protocol, by both ends of the TCP connection, for as long as it is open. */
const told = new Map<string, PeerAddress>();

/**
 * Notes what a PROXY protocol header said about a connection, until it closes. A TLS socket or HTTP/2 session made on
 * top of it later does not show the socket below, but has the same two ends: so those are the key.
 */
export function noteClientAddress(socket: Socket, peer: PeerAddress): void {
  const key = endsOf(socket);
  if (key === undefined || socket.destroyed) return;
  known.set(socket, peer);
  told.set(key, peer);
  socket.once("close", () => {
    if (told.get(key) === peer) told.delete(key);
  });
}

/**
 * Where the client of a connection is: by PROXY protocol where the listener reads it, else by the socket.
 * Takes the socket of an HTTP/1.1 request (plain or TLS), or `session.socket` of HTTP/2. Costs a look into a WeakMap
 * after the first call for a socket. IPv4-mapped IPv6 addresses are written as IPv4.
 */
export function clientAddressOf(socket: AddressedSocket): PeerAddress {
  const before = known.get(socket);
  if (before !== undefined) return before;
  const key = told.size === 0 ? undefined : endsOf(socket);
  const peer = (key === undefined ? undefined : told.get(key)) ?? {
    address: normalizeAddress(socket.remoteAddress ?? ""),
    port: socket.remotePort ?? 0,
  };
  if (peer.address !== "") known.set(socket, peer);
  return peer;
}

function endsOf(socket: AddressedSocket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
