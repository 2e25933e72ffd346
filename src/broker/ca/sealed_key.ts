import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";
import type { Secret } from "../../platform/secret.ts";
import { CaKeyError } from "./errors.ts";

/**
 * A private key at rest: a PEM block of version (1 byte: 1), binary logarithm of scrypt's N (1), salt (16), nonce (12),
 * then the key's PEM under AES-256-GCM with its tag (16); all before the ciphertext is authenticated with it. scrypt
 * with r 8 and p 1 makes the AES key of the authority's key.
 */
const LABEL = "SALLYPORT SEALED KEY";
const BLOCK = new RegExp(`-----BEGIN ${LABEL}-----([A-Za-z0-9+/=\\s]+)-----END ${LABEL}-----\\n?`);
const PLAIN = /-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----\n?/;
const VERSION = 1;
const LOG_N = 15;
/** What a file may ask of our memory and time: 1 GiB would be 20. */
const MOST_LOG_N = 18;
const HEADER_BYTES = 30;
const TAG_BYTES = 16;

/** True when the text holds a sealed key. */
export function isSealed(text: string): boolean {
  return BLOCK.test(text);
}

/** The text with its private key sealed; a text without one, or sealed already, is given back as it is. */
export function sealKey(text: string, key: Secret): string {
  const plain = PLAIN.exec(text)?.[0];
  if (plain === undefined) return text;
  const header = Buffer.concat([Buffer.of(VERSION, LOG_N), randomBytes(HEADER_BYTES - 2)]);
  const cipher = createCipheriv("aes-256-gcm", derive(key, header), header.subarray(18));
  cipher.setAAD(header);
  const sealed = Buffer.concat([header, cipher.update(plain, "utf8"), cipher.final(), cipher.getAuthTag()]);
  const lines = sealed.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return text.replace(plain, `-----BEGIN ${LABEL}-----\n${lines}\n-----END ${LABEL}-----\n`);
}

/**
 * The text with its private key readable. Throws `ca_key_missing` where it is sealed and `key` is null, `ca_key_wrong`
 * where the key is another one or the block is damaged.
 */
export function openKey(text: string, key: Secret | null, path: string): string {
  const block = BLOCK.exec(text);
  if (block === null) return text;
  if (key === null) {
    throw new CaKeyError(
      "ca_key_missing",
      `Cannot open "${path}": it is encrypted; give its key in caKeyFile or SALLYPORT_CA_KEY`,
    );
  }
  try {
    const bytes = Buffer.from(block[1]!, "base64");
    const header = bytes.subarray(0, HEADER_BYTES);
    if (bytes.length <= HEADER_BYTES + TAG_BYTES || header[0] !== VERSION || header[1]! > MOST_LOG_N) {
      throw new Error("its form is not known");
    }
    const decipher = createDecipheriv("aes-256-gcm", derive(key, header), header.subarray(18), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(header);
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    const plain = decipher.update(bytes.subarray(HEADER_BYTES, -TAG_BYTES), undefined, "utf8") +
      decipher.final("utf8");
    return text.replace(block[0], () => plain);
  } catch (cause) {
    throw new CaKeyError(
      "ca_key_wrong",
      `Cannot open "${path}": the key is another one, or the file is damaged`,
      {
        cause,
        details: { path },
      },
    );
  }
}

function derive(key: Secret, header: Buffer): Buffer {
  const cost = 2 ** header[1]!;
  return scryptSync(key.reveal(), header.subarray(2, 18), 32, {
    N: cost,
    r: 8,
    p: 1,
    maxmem: 2 * 128 * 8 * cost,
  });
}
