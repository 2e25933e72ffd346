/** What happens to a header on its way through. */
export type HeaderRule =
  | "keep"
  | "drop"
  | "connection"
  | "host"
  | "length"
  | "coding"
  | "cookie"
  | "te"
  | "translate";

/** How many different spellings of names are remembered; others are looked up each time. */
const MOST_REMEMBERED = 4096;
/** Longer names are not remembered: users invent them, and memory is ours. */
const LONGEST_REMEMBERED = 64;

/** RFC 9110 section 7.6.1, and its forerunners: these speak of one connection and end with it. */
const HOP_BY_HOP = [
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "upgrade",
  "http2-settings",
] as const;

const REQUEST_RULES: Record<string, HeaderRule> = {
  ...Object.fromEntries(HOP_BY_HOP.map((name) => [name, "drop" as const])),
  connection: "connection",
  "transfer-encoding": "coding",
  "content-length": "length",
  host: "host",
  cookie: "cookie",
  te: "te",
  // Said anew by the broker: what comes from outside is not to be believed.
  forwarded: "drop",
  "x-forwarded-for": "drop",
  "x-forwarded-host": "drop",
  "x-forwarded-proto": "drop",
  // What backends take a proxy's word for, and this proxy does not say: who the user is, how he came here ...
  "x-forwarded": "drop",
  "x-forwarded-by": "drop",
  "x-forwarded-path": "drop",
  "x-forwarded-port": "drop",
  "x-forwarded-prefix": "drop",
  "x-forwarded-protocol": "drop",
  "x-forwarded-scheme": "drop",
  "x-forwarded-server": "drop",
  "x-forwarded-ssl": "drop",
  "x-forwarded-uri": "drop",
  "x-forwarded-url": "drop",
  "x-real-ip": "drop",
  "x-client-ip": "drop",
  "x-cluster-client-ip": "drop",
  "x-original-forwarded-for": "drop",
  "client-ip": "drop",
  "true-client-ip": "drop",
  "cf-connecting-ip": "drop",
  "fastly-client-ip": "drop",
  "front-end-https": "drop",
  "x-url-scheme": "drop",
  "x-arr-ssl": "drop",
  // ... and where he wants to go, which is decided here and by the target alone.
  "x-original-url": "drop",
  "x-original-uri": "drop",
  "x-rewrite-url": "drop",
  "x-original-host": "drop",
};

const RESPONSE_RULES: Record<string, HeaderRule> = {
  ...Object.fromEntries(HOP_BY_HOP.map((name) => [name, "drop" as const])),
  connection: "connection",
  "transfer-encoding": "coding",
  "content-length": "length",
  // What may name the backend's own URLs, and cookies, which name its host.
  location: "translate",
  "content-location": "translate",
  refresh: "translate",
  link: "translate",
  "set-cookie": "translate",
};

/** Says by name what to do with a header, in any spelling; remembers spellings, so that the usual ones cost one look-up. */
export class HeaderRules {
  readonly #rules: Readonly<Record<string, HeaderRule>>;
  readonly #remembered = new Map<string, HeaderRule>();

  constructor(rules: Readonly<Record<string, HeaderRule>>) {
    this.#rules = rules;
  }

  of(name: string): HeaderRule {
    const known = this.#remembered.get(name);
    if (known !== undefined) return known;
    const lower = name.toLowerCase();
    const rule = Object.hasOwn(this.#rules, lower)
      ? this.#rules[lower]!
      : this.#isDisguised(lower)
      ? "drop"
      : "keep";
    if (name.length <= LONGEST_REMEMBERED && this.#remembered.size < MOST_REMEMBERED) {
      this.#remembered.set(name, rule);
    }
    return rule;
  }

  /** CGI and what descends from it cannot tell `X_Forwarded-For` from `X-Forwarded-For` (RFC 3875 section 4.1.18). */
  #isDisguised(lower: string): boolean {
    if (!/[^a-z0-9-]/.test(lower)) return false;
    const dashed = lower.replace(/[^a-z0-9]/g, "-");
    return Object.hasOwn(this.#rules, dashed) && this.#rules[dashed] !== "translate";
  }
}

/** Rules for requests of users. */
export const requestRules: HeaderRules = new HeaderRules(REQUEST_RULES);

/** Rules for responses of backends. */
export const responseRules: HeaderRules = new HeaderRules(RESPONSE_RULES);

/** Options that are no headers, and headers that a peer may not take away from the request. */
const NOT_NOMINABLE = [
  "close",
  "keep-alive",
  "host",
  "content-length",
  "transfer-encoding",
  "authorization",
  "cookie",
];

/** Removes what `Connection` names (RFC 9110 section 7.6.1); rare, so it may take its time. */
export function withoutNominated(headers: string[], connection: string): string[] {
  const nominated = new Set(connection.toLowerCase().split(",").map((token) => token.trim()));
  for (const name of NOT_NOMINABLE) nominated.delete(name);
  if (nominated.size === 0) return headers;
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!nominated.has(headers[i]!.toLowerCase())) kept.push(headers[i]!, headers[i + 1]!);
  }
  return kept;
}
