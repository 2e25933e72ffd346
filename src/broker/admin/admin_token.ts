import { createHash, randomBytes } from "node:crypto";

/** How every token of the admin API begins, so that people and secret scanners know it. */
export const ADMIN_TOKEN_PREFIX = "spa_";

const FORM = /^spa_[A-Za-z0-9_-]{43}$/;

/** A new token of 256 random bits and the hash that is stored in its place. */
export function createAdminToken(): { token: string; sha256: string } {
  const token = ADMIN_TOKEN_PREFIX + randomBytes(32).toString("base64url");
  return { token, sha256: adminTokenSha256(token) };
}

/** SHA-256 of a token's text, lower-case hex. Lookup by hash tells an attacker's clock nothing of a stored token. */
export function adminTokenSha256(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** True for text that has the form of an admin token. */
export function isAdminToken(text: string): boolean {
  return FORM.test(text);
}
