import type { Transform } from "node:stream";
import type { HeaderList, ResponseHead } from "../../../protocol/heads.ts";
import type { FlushQueue } from "../../../tunnel/flush_queue.ts";
import type { App } from "../../model.ts";
import { BodyFilter, type FilterSink } from "./body_filter.ts";
import { charsetOf, isAsciiCharset } from "./charset.ts";
import {
  type Coding,
  codingOf,
  decoderOf,
  type Encoder,
  encoderOf,
  preferredCoding,
} from "./content_codings.ts";
import { CssRewriter } from "./css_rewriter.ts";
import { HtmlRewriter } from "./html_rewriter.ts";
import { LinkStream } from "./link_stream.ts";
import type { UrlMap, UserOrigin } from "./url_map.ts";

/** One response, and who asked for it. */
export interface FilteredExchange extends FilterSink {
  readonly method: string;
  readonly user: UserOrigin;
  readonly acceptEncoding: string | undefined;
  /** Is told how long the backend says that the body is. */
  noteLength(value: string): void;
}

/** Bodies that are known to be shorter gain nothing from being compressed, in bytes. */
const LEAST_COMPRESSED = 1_024;

const COMPRESSIBLE =
  /^(text\/.*|application\/((.*\+)?(json|xml)|(x-)?javascript|ecmascript|x-ndjson|wasm|xhtml\+xml|vnd\.ms-fontobject|manifest)|image\/(svg\+xml|bmp|x-icon|vnd\.microsoft\.icon)|font\/(ttf|otf|collection))$/;

/** What of the head speaks of the body's bytes, and is no longer true once they change. */
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  "content-length",
  "content-md5",
  "digest",
  "content-digest",
  "repr-digest",
  "accept-ranges",
]);

/** What a head says of its body. */
interface BodyFacts {
  type: string;
  charset: string | undefined;
  /** Null: none; undefined: one that cannot be undone. */
  coding: Coding | null | undefined;
  length: string | undefined;
  noTransform: boolean;
}

/** Which bodies of an app are changed, and how. Made once for each route. */
export class BodyRules {
  readonly #map: UrlMap | null;
  readonly #compression: boolean;

  /** `map`: null where links stay as they are. */
  constructor(map: UrlMap | null, compression: boolean) {
    this.#map = map;
    this.#compression = compression;
  }

  /**
   * Changes the head as the body will change, and makes the filter; null where the body stays as it is or there is none. Parts
   * (206) and answers without the whole (304) stay as they are.
   */
  apply(head: ResponseHead, exchange: FilteredExchange, turns: FlushQueue): BodyFilter | null {
    const { status, hasBody } = head;
    if (status < 200 || status === 204 || status === 205 || status === 206 || status === 304) return null;
    if (!hasBody && exchange.method !== "HEAD") return null;
    const facts = bodyFacts(head.headers);
    const links = this.#map !== null && facts.coding !== undefined && hasLinks(facts);
    const compressible = this.#compression && isCompressible(facts);
    const compressed = compressible ? preferredCoding(exchange.acceptEncoding) : null;
    if (compressible) addVary(head.headers);
    if (!links && compressed === null) return null;
    if (hasBody && facts.length !== undefined) exchange.noteLength(facts.length);
    changeHead(head.headers);
    if (compressed !== null) head.headers.push("Content-Encoding", compressed);
    if (!hasBody) return null;
    const stages: Transform[] = [];
    if (links) {
      if (facts.coding != null) stages.push(decoderOf(facts.coding));
      stages.push(new LinkStream(rewriterOf(facts, this.#map!, exchange.user)));
    }
    const coding = facts.coding ?? compressed;
    let encoder: Encoder | null = null;
    if (coding !== null) stages.push(encoder = encoderOf(coding));
    return new BodyFilter(stages, encoder, turns, exchange);
  }
}

/** Compiles an app's settings; null where no body changes. */
export function bodyRulesOf(app: App, map: UrlMap): BodyRules | null {
  if (!app.translateLinks && !app.compression) return null;
  return new BodyRules(app.translateLinks ? map : null, app.compression);
}

function bodyFacts(headers: HeaderList): BodyFacts {
  let type = "";
  let encoding = "";
  let length: string | undefined;
  let noTransform = false;
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1]!;
    switch (headers[i]!.toLowerCase()) {
      case "content-type":
        type = value;
        break;
      case "content-encoding":
        encoding = encoding === "" ? value : `${encoding},${value}`;
        break;
      case "content-length":
        length = value;
        break;
      case "cache-control":
        if (/\bno-transform\b/i.test(value)) noTransform = true;
        break;
    }
  }
  const semicolon = type.indexOf(";");
  return {
    type: (semicolon === -1 ? type : type.slice(0, semicolon)).trim().toLowerCase(),
    charset: charsetOf(type),
    coding: codingOf(encoding),
    length,
    noTransform,
  };
}

function hasLinks({ type, charset }: BodyFacts): boolean {
  if (type !== "text/html" && type !== "application/xhtml+xml" && type !== "text/css") return false;
  return charset === undefined || isAsciiCharset(charset);
}

function isCompressible({ type, coding, length, noTransform }: BodyFacts): boolean {
  if (coding !== null || noTransform || !COMPRESSIBLE.test(type)) return false;
  return length === undefined || Number(length) > LEAST_COMPRESSED;
}

function rewriterOf({ type }: BodyFacts, map: UrlMap, user: UserOrigin): CssRewriter | HtmlRewriter {
  if (type === "text/css") return new CssRewriter((reference) => map.translate(reference, user));
  return new HtmlRewriter({ map, user, xhtml: type !== "text/html" });
}

/** Takes out what is no longer true; a strong ETag becomes a weak one (RFC 9110 section 8.8.1). */
function changeHead(headers: HeaderList): void {
  let kept = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const lower = name.toLowerCase();
    if (OF_THE_BYTES.has(lower)) continue;
    const value = headers[i + 1]!;
    headers[kept] = name;
    headers[kept + 1] = lower === "etag" && value.startsWith('"') ? `W/${value}` : value;
    kept += 2;
  }
  headers.length = kept;
}

function addVary(headers: HeaderList): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() !== "vary") continue;
    if (/(^|,)\s*(\*|accept-encoding)\s*(,|$)/i.test(headers[i + 1]!)) return;
  }
  headers.push("Vary", "Accept-Encoding");
}
