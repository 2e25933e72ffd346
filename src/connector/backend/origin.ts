import { isIP } from "node:net";
import type { ConnectorApp } from "../../protocol/app.ts";
import { BackendError } from "./errors.ts";

/** Where an app's backend is, taken apart once. */
export interface Origin {
  /** Name or address, without brackets. */
  host: string;
  port: number;
  tls: boolean;
  /** `host:port` for people and logs. */
  target: string;
}

/** Reads an app's origin; throws `BackendError` `backend_misconfigured` when it is not `http(s)://host[:port]`. */
export function parseOrigin(app: ConnectorApp): Origin {
  const url = URL.canParse(app.origin) ? new URL(app.origin) : null;
  const scheme = url?.protocol;
  if (url === null || url.host === "" || (scheme !== "http:" && scheme !== "https:")) {
    throw new BackendError(
      "backend_misconfigured",
      `Cannot use backend "${app.origin}": it is not http://host[:port] or https://host[:port]`,
      { details: { appId: app.id } },
    );
  }
  const tls = scheme === "https:";
  const bare = url.hostname.startsWith("[") ? url.hostname.slice(1, -1) : url.hostname;
  const port = url.port === "" ? (tls ? 443 : 80) : Number(url.port);
  return { host: bare, port, tls, target: isIP(bare) === 6 ? `[${bare}]:${port}` : `${bare}:${port}` };
}
