/** Who asked, and under which name: the external origin is made of it. */
export interface UserOrigin {
  readonly proto: "http" | "https";
  /** Host, and port where there is one, as the user's browser sent it. */
  readonly host: string;
}

/** Where an app's URLs come from and lead to. */
export interface UrlMapParts {
  /** Origin of the internal URL, e.g. `http://10.0.0.5:8080`. */
  readonly internalOrigin: string;
  /** Path of the internal URL. */
  readonly internalPath: string;
  /** Canonical path of the external URL, without a slash at its end. */
  readonly externalPrefix: string;
  /** The backend gets the user's Host, and so makes URLs of that, with its own scheme. */
  readonly userHost: boolean;
}

const ABSOLUTE = /^(https?:)?\/\/([^/?#\\]*)([^]*)$/i;
/** As browsers read it, which leave out tabs and ends of lines (URL section 4.4). */
const TWO_SLASHES = /^\/[\t\n\r]*[/\\]/;
/** What needs no escape wherever a URL may stand: in a quoted attribute, a list, `url()` of CSS. */
const NOT_PLAIN = /[^\w\-.~!$&*+=:@/%]/g;

/** Translates URLs that a backend says of itself into those that the user must use. Made once for each route. */
export class UrlMap {
  readonly #scheme: string;
  readonly #host: string;
  readonly #userHost: boolean;
  /** Internal path without a slash at its end. */
  readonly internalPrefix: string;
  /** External path without a slash at its end, escaped so that it may stand anywhere. */
  readonly externalPrefix: string;
  /** False: references without a host are the same on both sides. */
  readonly movesPaths: boolean;
  /** Host name of the internal URL, lower case, without a port. */
  readonly internalName: string;

  constructor({ internalOrigin, internalPath, externalPrefix, userHost }: UrlMapParts) {
    const internal = new URL(internalOrigin);
    this.#scheme = internal.protocol;
    this.#host = internal.host;
    this.internalName = internal.hostname;
    this.#userHost = userHost;
    this.internalPrefix = internalPath.endsWith("/") ? internalPath.slice(0, -1) : internalPath;
    this.externalPrefix = externalPrefix.replace(NOT_PLAIN, escapeCharacter);
    this.movesPaths = this.internalPrefix !== this.externalPrefix;
  }

  /**
   * The reference as the user must see it; the very same string where it leads elsewhere, is relative to the page, or need
   * not change. `pathsAreOurs` false: a reference without a host belongs to somebody else (`<base>`).
   */
  translate(reference: string, user: UserOrigin, pathsAreOurs = true): string {
    if (reference.charCodeAt(0) === 0x2f && !isSlash(reference.charCodeAt(1))) {
      const path = pathsAreOurs && this.movesPaths ? this.path(reference) : undefined;
      return path === undefined ? reference : asReference(path);
    }
    const parts = ABSOLUTE.exec(reference);
    if (parts === null) return reference;
    const [, scheme, authority, rest] = parts as unknown as [string, string | undefined, string, string];
    const path = this.#owned(scheme?.toLowerCase(), authority, rest, user);
    if (path === undefined) return reference;
    return `${scheme === undefined ? "" : `${user.proto}:`}//${user.host}${path}`;
  }

  /** External form of what begins with an internal absolute path; undefined where it lies outside of the app's. */
  path(text: string): string | undefined {
    if (!isBeneath(text, this.internalPrefix)) return undefined;
    return this.externalPrefix + text.slice(this.internalPrefix.length);
  }

  /** The external path where the URL is the backend's own and must change. */
  #owned(scheme: string | undefined, authority: string, rest: string, user: UserOrigin): string | undefined {
    const host = canonicalHost(authority, scheme ?? this.#scheme);
    const isInternal = host === this.#host && (scheme === undefined || scheme === this.#scheme);
    if (isInternal) return this.path(rest);
    if (!this.#userHost || host !== canonicalHost(user.host, scheme ?? `${user.proto}:`)) return undefined;
    const isExternal = scheme === undefined || scheme === `${user.proto}:`;
    // Whoever knows the external scheme mostly knows the external path, too.
    if (isExternal) {
      return this.movesPaths && !isBeneath(rest, this.externalPrefix) ? this.path(rest) : undefined;
    }
    return scheme === this.#scheme ? this.path(rest) : undefined;
  }
}

/** True for the prefix itself and for what lies beneath, whole segments only. */
export function isBeneath(text: string, prefix: string): boolean {
  if (!text.startsWith(prefix)) return false;
  const next = text.charCodeAt(prefix.length);
  return Number.isNaN(next) || next === 0x2f || next === 0x3f || next === 0x23;
}

/** Browsers read `\` as `/`: what begins with two of them names a host. */
function isSlash(code: number): boolean {
  return code === 0x2f || code === 0x5c;
}

/** Lower case, without the scheme's own port; an IPv6 address in its shortest form. As `URL` would say it. */
export function canonicalHost(authority: string, scheme: string): string {
  let host = authority.toLowerCase();
  if (host.charCodeAt(0) === 0x5b) return URL.parse(`${scheme}//${host}`)?.host ?? host;
  const colon = host.indexOf(":");
  const port = colon === -1 ? "" : host.slice(colon);
  if (colon !== -1) host = host.slice(0, colon);
  if (host.endsWith(".")) host = host.slice(0, -1);
  const isDefault = port === ":" || port === (scheme === "https:" ? ":443" : ":80");
  return isDefault ? host : host + port;
}

/** A path that stands by itself: with one slash it leads to a place of this host, with none to that of the page, with two to another host. */
function asReference(path: string): string {
  if (path.charCodeAt(0) !== 0x2f) return `/${path}`;
  return TWO_SLASHES.test(path) ? `/.${path}` : path;
}

function escapeCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}
