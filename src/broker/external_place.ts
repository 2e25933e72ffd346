import { canonicalPath } from "./canonical.ts";

/**
 * Where an external URL leads to, as requests are matched. Its scheme is no part of it: a request does not tell
 * reliably over what a user sent it. Two URLs of one place cannot be of two apps.
 */
export interface ExternalPlace {
  /** Canonical, `*.` in front where it is a wildcard. */
  readonly host: string;
  /** Where the URL has one other than its scheme's. */
  readonly port: number | undefined;
  /** Canonical path prefix without a slash at the end; empty for all of the host. */
  readonly prefix: string;
}

/** Reads an external URL, or says why it leads to no place. */
export function externalPlace(text: string): ExternalPlace | { fault: string } {
  const wildcard = /^(https?:\/\/)\*\.(.*)$/i.exec(text);
  const url = URL.parse(wildcard === null ? text : `${wildcard[1]}${wildcard[2]}`);
  if (
    url === null || (url.protocol !== "http:" && url.protocol !== "https:") ||
    url.username + url.password + url.search + url.hash !== ""
  ) return { fault: "it is no plain http or https URL" };
  const path = canonicalPath(url.pathname);
  if (path === undefined || /%2F|%5C/.test(path)) return { fault: "its path can be read in several ways" };
  const host = url.hostname.replace(/\.$/, "");
  return {
    host: wildcard === null ? host : `*.${host}`,
    port: url.port === "" ? undefined : Number(url.port),
    prefix: path.endsWith("/") ? path.slice(0, -1) : path,
  };
}
