import type { BrokerConfiguration } from "./config.ts";
import { endsTls } from "./no_certificate.ts";

/** What is known of the way from users to this broker. */
export interface WayOfUsers {
  config: BrokerConfiguration;
  /** Where the TLS port for users listens; undefined: there is none. */
  publicPort: number | undefined;
  hasCertificate: (host: string) => boolean;
}

/** What users lack to open an external URL, each a sentence; nothing where something in front of the broker ends TLS. */
export function missingForUsers(externalUrl: string, way: WayOfUsers): string[] {
  const url = URL.parse(externalUrl);
  if (url === null || !endsTls(way.config)) return [];
  if (url.protocol === "http:") {
    return [
      `${externalUrl}: the broker has no port for plain HTTP; publish an https URL, or set plainListen`,
    ];
  }
  const missing: string[] = [];
  if (!way.hasCertificate(url.hostname)) {
    missing.push(
      `${externalUrl}: there is no certificate for "${url.hostname}"; name one in certificates and restart the broker`,
    );
  }
  const port = url.port === "" ? 443 : Number(url.port);
  if (way.publicPort !== undefined && way.publicPort !== port) {
    missing.push(
      `${externalUrl}: the broker listens on port ${way.publicPort}, not on ${port}; forward port ${port} to it, or set publicListen`,
    );
  }
  return missing;
}
