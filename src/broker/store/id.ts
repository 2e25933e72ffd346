import { randomBytes } from "node:crypto";
import type { Timestamp } from "../model.ts";

/** A UUID of version 7 (RFC 9562 section 5.7): new ids sort after old ones, so a list in order of `id` grows at its end. */
export function createId(now: Timestamp): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
