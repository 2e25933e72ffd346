import { createHash, randomBytes } from "node:crypto";
import type { HeaderList } from "../../protocol/heads.ts";

/** RFC 6455 section 1.3. */
const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** A fresh `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455 section 4.1). */
export function websocketKey(): string {
  return randomBytes(16).toString("base64");
}

/** The `Sec-WebSocket-Accept` that proves that a server has read `key` (RFC 6455 section 4.2.2). */
export function websocketAccept(key: string): string {
  return createHash("sha1").update(key + MAGIC).digest("base64");
}

/**
 * True when a 101 switches to what the request has asked for: its `Upgrade` names only protocols of `asked` (RFC 9110
 * section 7.8) and, for a WebSocket, its one `Sec-WebSocket-Accept` fits `key`. A backend that sends whatever status
 * it is told to would otherwise give the user a connection of its own into it, past all rules for requests.
 */
export function isAgreedSwitch(asked: string, key: string | undefined, answer: HeaderList): boolean {
  const upgrades = valuesOf(answer, "upgrade");
  if (upgrades.length === 0) return false;
  const wanted = protocolNames(asked);
  const given = protocolNames(upgrades.join(","));
  if (given.length === 0 || given.some((name) => !wanted.includes(name))) return false;
  if (!given.includes("websocket")) return true;
  const accepts = valuesOf(answer, "sec-websocket-accept");
  return key !== undefined && accepts.length === 1 && accepts[0]!.trim() === websocketAccept(key);
}

/** All values of a header, in order. */
export function valuesOf(headers: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length === name.length && headers[i]!.toLowerCase() === name) {
      values.push(headers[i + 1]!);
    }
  }
  return values;
}

/** Names without versions, in lower case, of an `Upgrade`: `websocket` of `WebSocket/13`. */
function protocolNames(list: string): string[] {
  return list.toLowerCase().split(",").map((item) => item.split("/", 1)[0]!.trim()).filter((name) =>
    name !== ""
  );
}
