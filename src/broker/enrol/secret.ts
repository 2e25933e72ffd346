import { createHash, randomBytes } from "node:crypto";

/** A new secret for an enrolment token, 256 random bits in base64url, and the only form of it that is stored. */
export function createEnrolmentSecret(): { secret: string; sha256: string } {
  const secret = randomBytes(32).toString("base64url");
  return { secret, sha256: enrolmentSecretSha256(secret) };
}

/** SHA-256 of a secret's base64url text, 64 lower-case hex digits: what the store keeps and looks up. */
export function enrolmentSecretSha256(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
