import type { KeyObject, X509Certificate } from "node:crypto";

/** A certificate of a connector or of the broker itself, as it is to be: nothing of it is the signer's to choose. */
export interface Leaf {
  purpose: "server" | "client";
  commonName: string;
  publicKey: KeyObject;
  notBefore: Date;
  notAfter: Date;
  dnsName?: string;
  uri?: string;
}

/** Certificates of the authority, as they are now. */
export interface AuthorityState {
  /** Signs what is issued now. */
  issuing: X509Certificate;
  /** Its root. */
  root: X509Certificate;
  /** Roots that are trusted, that of `issuing` first; none has expired. */
  anchors: readonly X509Certificate[];
  /** Whose signatures on connectors' certificates are good: `issuing`, those before it, and the next one. */
  issuers: readonly X509Certificate[];
}

/**
 * Where certificates come from: the port of the certificate authority. Two implementations: keys in the data folder, and
 * an authority elsewhere that is reached through a command.
 */
export interface Authorities extends AsyncDisposable {
  /** Never expired: `ca_expired` is thrown at opening and by `tend`. */
  readonly state: AuthorityState;
  /** Signs; gives the leaf alone, PEM. Throws `CaError`. */
  sign(leaf: Leaf): Promise<string>;
  /** Does what is due (renewals, roll-over, files that have changed); true when the state is another one now. Throws `CaError`. */
  tend(): Promise<boolean>;
}
