/** A host as it is looked up, and the port where one was given. */
export interface Authority {
  /** Lower case, no trailing dot; an IPv6 address in its shortest form, in brackets. */
  readonly host: string;
  readonly port: number | undefined;
}

const LONGEST_HOST = 253;

/**
 * Reads a `Host` or `:authority`: `name[:port]`. Undefined for what is malformed or only looks like a host (user
 * information, spaces, percent-escapes, non-ASCII, empty labels, a colon without a port): answer 400 then. Names are
 * kept as sent but for case; internationalised ones are ASCII (`xn--`) on the wire already.
 */
export function canonicalAuthority(text: string): Authority | undefined {
  let host = text;
  let port: number | undefined;
  const colon = text.charCodeAt(0) === 0x5b ? text.indexOf(":", text.indexOf("]") + 1) : text.indexOf(":");
  if (colon > 0) {
    host = text.slice(0, colon);
    port = readPort(text, colon + 1);
    if (port === undefined) return undefined;
  }
  if (text.charCodeAt(0) === 0x5b) return canonicalIPv6(host, port);
  let dotAllowed = false;
  let upper = false;
  let label = 0;
  for (let i = 0; i < host.length; i++) {
    const code = host.charCodeAt(i);
    if (code === 0x2e) {
      if (!dotAllowed) return undefined;
      dotAllowed = false;
      label = 0;
      continue;
    }
    if (code >= 0x41 && code <= 0x5a) upper = true;
    else if (
      !(code >= 0x61 && code <= 0x7a) && !(code >= 0x30 && code <= 0x39) && code !== 0x2d && code !== 0x5f
    ) {
      return undefined;
    }
    if (++label > 63) return undefined;
    dotAllowed = true;
  }
  if (host.endsWith(".")) host = host.slice(0, -1);
  if (host === "" || host.length > LONGEST_HOST) return undefined;
  return { host: upper ? host.toLowerCase() : host, port };
}

function readPort(text: string, from: number): number | undefined {
  const length = text.length - from;
  if (length < 1 || length > 5) return undefined;
  let port = 0;
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    port = port * 10 + digit;
  }
  return port > 0 && port <= 65_535 ? port : undefined;
}

function canonicalIPv6(host: string, port: number | undefined): Authority | undefined {
  if (!/^\[[0-9a-fA-F:.]{2,45}\]$/.test(host)) return undefined;
  const url = URL.parse(`http://${host}`);
  return url === null ? undefined : { host: url.hostname, port };
}

/** Characters that mean themselves in a path: printable ASCII without `/ ? # %` and backslash. */
const PLAIN = new Uint8Array(128);
for (let code = 0x21; code < 0x7f; code++) {
  if (!"/?#%\\".includes(String.fromCharCode(code))) PLAIN[code] = 1;
}
const SLASH = 0x2f;
const DOT = 0x2e;
const QUESTION_MARK = 0x3f;
const SEMICOLON = 0x3b;

/**
 * The path of a request target as routing and access read it. Undefined: the target is malformed or different programs would read
 * it differently; answer 400 then. The target itself goes on to the backend untouched, so the rule is: either every
 * reading of it leads to the same place, or it is refused.
 *
 * - the query is cut off; `#`, spaces, control and non-ASCII bytes are refused anywhere
 * - escapes of printable ASCII but `/ ? # %` and backslash are decoded (`%41` is `A`), so that no spelling of a prefix
 *   slips past it; the others get upper-case digits; broken ones and `%00` are refused
 * - `.` and `..` segments (also written `%2e`) are resolved; above the root is refused, and so is `..` after
 *   a segment that is not one to everybody: an empty one, `;x`, `a%2Fb`
 * - empty segments are left out: `//a///b` is `/a/b`
 * - `%2F`, `\` and `%5C` stay in their segment as `%2F` and `%5C`, but refuse the target where reading them as
 *   separators makes a dot segment (`..%2f`); `RouteTable.match` also wants the same app for both readings
 * - `..;x`, a dot segment with parameters as some servers read it, is refused
 * - `*` (of `OPTIONS *`) is itself; anything else that does not start with `/` is refused
 *
 * The usual target costs one pass and nothing else.
 */
export function canonicalPath(target: string): string | undefined {
  if (target.charCodeAt(0) !== SLASH) return target === "*" ? target : undefined;
  const length = target.length;
  let end = 0;
  let previous = 0;
  let plain = true;
  for (; end < length; end++) {
    const code = target.charCodeAt(end);
    if (code === SLASH) {
      if (previous === SLASH) plain = false;
    } else if (code === QUESTION_MARK) break;
    else if (PLAIN[code] !== 1) plain = false;
    else if (code === DOT && previous === SLASH) {
      // `/.well-known` is plain, `/.` and `/..` are not.
      const next = target.charCodeAt(end + 1);
      const after = next === DOT ? target.charCodeAt(end + 2) : next;
      if (endsSegment(after)) plain = false;
    }
    previous = code;
  }
  if (end < length && FORBIDDEN.test(target)) return undefined;
  if (plain) return end === length ? target : target.slice(0, end);
  const path = target.slice(0, end);
  return FORBIDDEN.test(path) ? undefined : resolve(path);
}

// deno-lint-ignore no-control-regex
const FORBIDDEN = /[\x00-\x20#\x7f-\uffff]/;

/** NaN is the end of the text. */
function endsSegment(code: number): boolean {
  return code === SLASH || code === QUESTION_MARK || code === SEMICOLON || Number.isNaN(code);
}

/** Segments that are none to some servers, or several: what `..` after them undoes is not clear. */
const UNCLEAR = /^$|^;|%2F|%5C/;

function resolve(path: string): string | undefined {
  const kept: string[] = [];
  const raw = path.split("/");
  let trailing = false;
  for (let i = 1; i < raw.length; i++) {
    const segment = canonicalSegment(raw[i]!);
    if (segment === undefined) return undefined;
    trailing = segment === "" || segment === "." || segment === "..";
    if (segment === "..") {
      const undone = kept.pop();
      if (undone === undefined || UNCLEAR.test(undone)) return undefined;
    } else if (segment !== ".") kept.push(segment);
  }
  const segments = kept.filter((segment) => segment !== "");
  if (segments.length === 0) return "/";
  return `/${segments.join("/")}${trailing ? "/" : ""}`;
}

/** One segment with its escapes in their one form; undefined when it must be refused. */
export function canonicalSegment(raw: string): string | undefined {
  let segment = raw;
  if (raw.includes("%")) {
    if (/%(?![0-9a-fA-F]{2})|%00/.test(raw)) return undefined;
    segment = raw.replace(/%[0-9a-fA-F]{2}/g, (escape) => {
      const char = String.fromCharCode(parseInt(escape.slice(1), 16));
      return PLAIN[char.charCodeAt(0)] === 1 ? char : escape.toUpperCase();
    });
  }
  if (segment.includes("\\")) segment = segment.replaceAll("\\", "%5C");
  if (segment === "." || segment === "..") return segment;
  for (const part of segment.split(/%2F|%5C/)) {
    const name = part.split(";", 1)[0]!;
    if (name === "." || name === "..") return undefined;
  }
  return segment;
}

/** What a target in absolute form (`GET http://host/path`) is made of; undefined for every other form. */
export function absoluteForm(target: string): { authority: string; target: string } | undefined {
  const parts = /^https?:\/\/([^/?#\\]+)(.*)$/i.exec(target);
  if (parts === null) return undefined;
  const rest = parts[2]!;
  return { authority: parts[1]!, target: rest === "" ? "/" : rest.startsWith("?") ? `/${rest}` : rest };
}
