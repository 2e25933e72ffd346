import type { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIssuedBy, readCertificates } from "../../platform/certificate.ts";
import { reasonOf } from "../../platform/error.ts";
import { CaError } from "./errors.ts";

/** What the file of an authority elsewhere holds; validity in time is not looked at. */
export interface CertificatesFile {
  /** The first one. */
  issuing: X509Certificate;
  /** Its root. */
  root: X509Certificate;
  /** That root and the others. */
  roots: readonly X509Certificate[];
  all: readonly X509Certificate[];
}

/** The text of the file. Throws `ca_unreadable`. */
export async function readCertificatesFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new CaError("ca_unreadable", `Cannot read "${path}": ${reasonOf(cause)}`, { cause });
  }
}

/** Throws `ca_invalid`; `path` is for its message. */
export function parseCertificatesFile(text: string, path: string): CertificatesFile {
  const refuse = (state: string, cause?: unknown) =>
    new CaError("ca_invalid", `Cannot use the certificates in "${path}": ${state}`, { cause });
  let all: readonly [X509Certificate, ...X509Certificate[]];
  try {
    all = readCertificates(text);
  } catch (cause) {
    throw refuse(reasonOf(cause), cause);
  }
  const [issuing] = all;
  const roots = all.filter((one) => isIssuedBy(one, one));
  const root = roots.find((one) => isIssuedBy(issuing, one));
  if (root === undefined) throw refuse("the root of the first one is not among them");
  return { issuing, root, roots, all };
}
