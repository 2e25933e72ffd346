import { Secret } from "./secret.ts";

/** Where an HTTP proxy is, as a URL says it. */
export interface ProxyUrl {
  /** True: TLS to the proxy itself. */
  tls: boolean;
  host: string;
  port: number;
  /** `user:password`, where the URL has them. */
  credentials: Secret | null;
}

/** Reads `http://[user:password@]host[:port]`, `https://...` or `host:port`; null when it is none of them. */
export function parseProxyUrl(text: string): ProxyUrl | null {
  if (text.length > 2_048) return null;
  let url: URL;
  let credentials: string;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
    credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  } catch {
    return null;
  }
  const tls = url.protocol === "https:";
  if (!tls && url.protocol !== "http:") return null;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (host === "" || (url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "") {
    return null;
  }
  const port = url.port === "" ? (tls ? 443 : 80) : Number(url.port);
  if (port === 0) return null;
  return { tls, host, port, credentials: credentials === ":" ? null : new Secret(credentials) };
}
