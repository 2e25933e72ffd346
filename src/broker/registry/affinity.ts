import { createHash } from "node:crypto";

const LONGEST_CACHE = 10_000;
const tags = new Map<string, string>();

/** What a cookie calls a connector: says nothing of it to who does not know it already. */
export function connectorTag(connectorId: string): string {
  let tag = tags.get(connectorId);
  if (tag === undefined) {
    if (tags.size >= LONGEST_CACHE) tags.clear();
    tag = createHash("sha256").update(`affinity:${connectorId}`).digest("hex").slice(0, 16);
    tags.set(connectorId, tag);
  }
  return tag;
}

/**
 * How much `key` belongs to a connector (rendezvous hashing): the one with the highest weight has it, and when that one
 * goes only its own keys move. FNV-1a, 32 bits, mixed once more.
 */
export function affinityWeight(key: string, connectorId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ 0x7c, 0x01000193);
  for (let i = 0; i < connectorId.length; i++) hash = Math.imul(hash ^ connectorId.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
