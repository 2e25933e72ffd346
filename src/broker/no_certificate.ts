import type { BrokerConfiguration } from "./config.ts";
import type { App } from "./model.ts";

/** What is said of a broker that no user can reach. */
export const NO_CERTIFICATE =
  "No public certificate: no user can connect over HTTPS. Name certificate and key in certificates, or set plainListen " +
  "where a load balancer ends TLS";

/** True where users are to connect over TLS and there is no certificate for them. */
export function servesNobody(config: BrokerConfiguration): boolean {
  return endsTls(config) && config.certificates.length === 0;
}

/** True where TLS of users ends here and nowhere before. */
export function endsTls({ publicListen, plainListen }: BrokerConfiguration): boolean {
  return publicListen !== "" && plainListen === "";
}

/** Hosts of apps, each told once, whose https address no browser can open, since there is no certificate for it. */
export class UncoveredHosts {
  readonly #isCovered: (host: string) => boolean;
  readonly #told = new Set<string>();

  constructor(isCovered: (host: string) => boolean) {
    this.#isCovered = isCovered;
  }

  /** The hosts of these apps that are not covered and were not told before. */
  take(apps: readonly Pick<App, "id" | "enabled" | "externalUrls">[]): { host: string; app: string }[] {
    const found: { host: string; app: string }[] = [];
    for (const { id, enabled, externalUrls } of apps) {
      for (const text of enabled ? externalUrls : []) {
        const url = URL.parse(text);
        if (url?.protocol !== "https:") continue;
        const host = url.hostname;
        if (this.#isCovered(host)) this.#told.delete(host);
        else if (!this.#told.has(host)) {
          this.#told.add(host);
          found.push({ host, app: id });
        }
      }
    }
    return found;
  }
}
