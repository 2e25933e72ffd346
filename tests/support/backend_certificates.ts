import { createPublicKey, X509Certificate } from "node:crypto";
import { createCertificate, generatePrivateKey } from "../../src/platform/x509.ts";

/** A server's key and certificate, PEM. */
export interface ServerIdentity {
  key: string;
  cert: string;
}

const HOUR_MS = 3_600_000;

/** A throw-away CA for backends. */
export class TestAuthority {
  /** PEM. */
  readonly ca: string;
  readonly #key: string;

  constructor(ca: string, key: string) {
    this.ca = ca;
    this.#key = key;
  }

  static async create(): Promise<TestAuthority> {
    const key = await generatePrivateKey("p256");
    const ca = await createCertificate({
      purpose: "root",
      commonName: "Test CA",
      publicKey: createPublicKey(key),
      notBefore: new Date(Date.now() - 48 * HOUR_MS),
      notAfter: new Date(Date.now() + HOUR_MS),
      issuer: { privateKey: key, certificate: null },
    });
    return new TestAuthority(ca, key);
  }

  /** A certificate for a client, with this common name. */
  async client(commonName: string): Promise<ServerIdentity> {
    const key = await generatePrivateKey("p256");
    const cert = await createCertificate({
      purpose: "client",
      commonName,
      publicKey: createPublicKey(key),
      notBefore: new Date(Date.now() - 24 * HOUR_MS),
      notAfter: new Date(Date.now() + HOUR_MS),
      issuer: { privateKey: this.#key, certificate: new X509Certificate(this.ca) },
      uri: `urn:${commonName}`,
    });
    return { key, cert };
  }

  /** A certificate for one DNS name, which expires `hours` from now. */
  async server(dnsName: string, hours = 1): Promise<ServerIdentity> {
    const key = await generatePrivateKey("p256");
    const cert = await createCertificate({
      purpose: "server",
      commonName: dnsName,
      publicKey: createPublicKey(key),
      notBefore: new Date(Date.now() - 24 * HOUR_MS),
      notAfter: new Date(Date.now() + hours * HOUR_MS),
      issuer: { privateKey: this.#key, certificate: new X509Certificate(this.ca) },
      dnsName,
    });
    return { key, cert };
  }
}
