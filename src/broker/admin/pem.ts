import { X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----[\s\S]*?-----END \1-----/g;

/** Why a text is not one or more certificates in PEM form; null when it is. */
export function certificatesFault(pem: string): string | null {
  const blocks = [...pem.matchAll(BLOCK)];
  if (blocks.length === 0) return "it holds no PEM certificate";
  for (const [index, [block, label]] of blocks.entries()) {
    if (label !== "CERTIFICATE") return `block ${index + 1} is "${label}", not a certificate`;
    try {
      new X509Certificate(block);
    } catch {
      return `certificate ${index + 1} cannot be read`;
    }
  }
  return null;
}
