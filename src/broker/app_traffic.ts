import type { BackendProtocol, HealthCheck } from "../protocol/app.ts";

/** One change of a head, made in the order of the list. */
export interface HeaderChange {
  /** `set` replaces every field of this name, `add` appends one, `remove` takes all of them away. */
  action: "set" | "add" | "remove";
  name: string;
  /** Latin-1; for `set` and `add`. */
  value?: string;
}

/** What is said to users instead of asking the backend. */
export interface Maintenance {
  /** Plain text, shown escaped. */
  message: string;
  /** Seconds, for `Retry-After`. */
  retryAfterS: number;
}

/** What is made of the cookies that a backend sets. */
export interface CookiePolicy {
  /** Adds `Secure` to cookies of users who came over https. */
  secure: boolean;
  httpOnly: boolean;
  /** `keep`: as the backend says. */
  sameSite: "keep" | "lax" | "strict" | "none";
}

/** What an administrator says of how an app's requests are treated. */
export interface AppTraffic {
  backendProtocol: BackendProtocol;
  /** Largest body of a request, in bytes; 0: no limit. */
  maxRequestBytes: number;
  /** Most requests at a time; 0: no limit. */
  maxConcurrent: number;
  /** Most requests that wait when `maxConcurrent` are being served. */
  maxQueued: number;
  requestHeaders: readonly HeaderChange[];
  responseHeaders: readonly HeaderChange[];
  /** Null: not in maintenance. */
  maintenance: Maintenance | null;
  /** Compresses responses that the backend has not. */
  compression: boolean;
  /** Translates internal URLs in headers of responses, and the domains and paths of cookies. */
  translateHeaders: boolean;
  /** Translates the external URL in Origin, Referer and Destination of requests. */
  translateRequestHeaders: boolean;
  /** Translates internal URLs in HTML and CSS bodies. */
  translateLinks: boolean;
  cookies: CookiePolicy;
  /** Sends `Forwarded` (RFC 7239) beside the X-Forwarded fields. */
  forwardedHeader: boolean;
  /** How a connector is chosen. */
  balancing: "least_in_flight" | "round_robin" | "latency";
  /** What keeps a user at one connector. */
  affinity: "none" | "cookie" | "address";
  /** Null: the backend is not checked. */
  healthCheck: HealthCheck | null;
}

/** What holds where an administrator says nothing. */
export const DEFAULT_TRAFFIC: AppTraffic = {
  backendProtocol: "auto",
  maxRequestBytes: 0,
  maxConcurrent: 0,
  maxQueued: 1_000,
  requestHeaders: [],
  responseHeaders: [],
  maintenance: null,
  compression: false,
  translateHeaders: true,
  translateRequestHeaders: false,
  translateLinks: false,
  cookies: { secure: false, httpOnly: false, sameSite: "keep" },
  forwardedHeader: true,
  balancing: "least_in_flight",
  affinity: "none",
  healthCheck: null,
};

/** What is not said of a maintenance. */
export const DEFAULT_MAINTENANCE: Maintenance = { message: "", retryAfterS: 300 };
