import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** What the server sent, leaf first; bounded by what TLS accepts of a peer. */
export function certificateChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  const seen = new Set<unknown>();
  let link = socket.getPeerCertificate(true) as { raw?: Buffer; issuerCertificate?: unknown } | undefined;
  while (link?.raw !== undefined && !seen.has(link)) {
    seen.add(link);
    chain.push(new X509Certificate(link.raw));
    link = link.issuerCertificate as typeof link;
  }
  return chain;
}

const BROKER_ROOT = /^CN=Sallyport root /m;

/** True where some broker's own authority stands behind the chain, be it the right one or not. */
export function isBrokerAuthority(chain: readonly X509Certificate[]): boolean {
  return chain.some(({ issuer }) => BROKER_ROOT.test(issuer));
}

/** Who the last certificate of the chain is from, on one line. */
export function issuerOf(chain: readonly X509Certificate[]): string {
  return chain.at(-1)?.issuer.replace(/\s*\n\s*/g, ", ") ?? "";
}
