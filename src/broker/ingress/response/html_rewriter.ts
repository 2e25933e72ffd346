import { RewritingStream } from "parse5-html-rewriting-stream";
import { isAsciiCharset } from "./charset.ts";
import { CssRewriter } from "./css_rewriter.ts";
import type { UrlMap, UserOrigin } from "./url_map.ts";
import { rewriteOf } from "./link_values.ts";

type StartTag = Parameters<RewritingStream["emitStartTag"]>[0];
type EndTag = Parameters<RewritingStream["emitEndTag"]>[0];
type Text = Parameters<RewritingStream["emitText"]>[0];

/** Longest tag, comment or the like that is looked into, in characters; from there on the page passes as it is. */
export const MOST_HELD_HTML: number = 1024 * 1024;

/** Most that the parser may keep, in characters; it lets go of what it has read beyond 64 KiB. */
const MOST_PARSED = MOST_HELD_HTML + 256 * 1024;

/** The parser, used for where tags and their attributes stand: its own output is not wanted. */
class Parser extends RewritingStream {
  feed(text: string): void {
    this._transformChunk(text);
    // Else it keeps text for as long as no tag comes.
    this.tokenizer.flushCurrentCharacterToken();
  }

  /** Characters that it keeps. */
  get held(): number {
    return this.tokenizer.preprocessor.html.length;
  }

  finish(): void {
    this._final(() => {});
  }

  /** Behind `<script/>` of XHTML comes no script. */
  expectMarkup(): void {
    this.tokenizer.state = DATA_STATE;
  }

  override push(): boolean {
    return true;
  }
}

const DATA_STATE = 0 as Parser["tokenizer"]["state"];

/** What a rewriter needs to know of a page. */
export interface PageContext {
  readonly map: UrlMap;
  readonly user: UserOrigin;
  readonly xhtml: boolean;
}

/**
 * Translates links of an HTML page that comes in pieces, one byte a character (latin1), so that every encoding in which
 * ASCII is ASCII passes as it is. The result is the input but for the values of attributes and style sheets that change.
 */
export class HtmlRewriter {
  readonly #context: PageContext;
  readonly #mostHeld: number;
  readonly #parser = new Parser();
  /** Input that is not in the result yet, and the offset of its first character. */
  #text = "";
  #offset = 0;
  /** Where the last token ends: nothing before it changes any more. */
  #known = 0;
  #out = "";
  #style: CssRewriter | null = null;
  #base: "none" | "ours" | "foreign" = "none";
  #passing = false;

  constructor(context: PageContext, mostHeld: number = MOST_HELD_HTML) {
    this.#context = context;
    this.#mostHeld = mostHeld;
    this.#parser.on("startTag", (tag: StartTag) => this.#startTag(tag));
    this.#parser.on("endTag", (tag: EndTag) => this.#endTag(tag));
    this.#parser.on("text", (text: Text) => this.#characters(text));
    this.#parser.on("comment", (token: Located) => this.#passed(token));
    this.#parser.on("doctype", (token: Located) => this.#passed(token));
  }

  /** Takes a piece; gives what is ready of the result. */
  write(text: string): string {
    if (this.#passing) return text;
    this.#text += text;
    this.#parser.feed(text);
    if (this.#passing) return this.#take();
    if (this.#style === null) this.#copyTo(this.#settled());
    if (this.#text.length > this.#mostHeld || this.#parser.held > MOST_PARSED) this.#pass();
    return this.#take();
  }

  /** The rest of the result. */
  end(): string {
    if (!this.#passing) {
      this.#parser.finish();
      this.#endStyle();
      this.#pass();
    }
    return this.#take();
  }

  /** Up to where no token can still begin: a tag that is not complete begins with the first `<` behind the last token. */
  #settled(): number {
    const angle = this.#text.indexOf("<", this.#known - this.#offset);
    return this.#offset + (angle === -1 ? this.#text.length : angle);
  }

  #take(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }

  /** All that is held and all that follows passes as it is. */
  #pass(): void {
    this.#passing = true;
    if (this.#style !== null) this.#out += this.#style.giveUp();
    this.#style = null;
    this.#out += this.#text;
    this.#text = "";
    this.#parser.removeAllListeners();
    this.#parser.destroy();
  }

  #copyTo(offset: number): void {
    const length = offset - this.#offset;
    if (length <= 0) return;
    this.#out += this.#text.slice(0, length);
    this.#skipTo(offset);
  }

  #skipTo(offset: number): void {
    this.#text = this.#text.slice(offset - this.#offset);
    this.#offset = offset;
  }

  #passed({ sourceCodeLocation: location }: Located): void {
    if (!this.#passing && location != null && location.endOffset > this.#known) {
      this.#known = location.endOffset;
    }
  }

  #characters(token: Text): void {
    if (this.#passing) return;
    const location = token.sourceCodeLocation;
    if (this.#style !== null && location != null && location.endOffset > location.startOffset) {
      // In SVG and MathML there may be comments and marks of CDATA between two texts of a style sheet.
      if (location.startOffset > this.#offset) {
        this.#endStyle();
        this.#style = new CssRewriter(this.#translate);
      }
      this.#copyTo(location.startOffset);
      this.#out += this.#style.write(this.#text.slice(0, location.endOffset - this.#offset));
      this.#skipTo(location.endOffset);
    }
    this.#passed(token);
  }

  #endTag(token: EndTag): void {
    if (this.#passing) return;
    this.#endStyle();
    this.#passed(token);
  }

  #endStyle(): void {
    if (this.#style === null) return;
    this.#out += this.#style.end();
    this.#style = null;
  }

  #startTag(token: StartTag): void {
    if (this.#passing) return;
    this.#endStyle();
    const attributes = (token.sourceCodeLocation as TagLocation | null | undefined)?.attrs;
    if (attributes !== undefined) {
      const tag = token.tagName.toLowerCase();
      const refreshes = tag === "meta" && valueOf(token, "http-equiv")?.toLowerCase() === "refresh";
      if (tag === "base") this.#noteBase(token);
      else if (tag === "meta" && this.#hasForeignCharset(token)) return this.#pass();
      for (const name in attributes) {
        const rewrite = rewriteOf({ tag, name, refreshes });
        if (rewrite !== undefined) this.#attribute(attributes[name]!, rewrite, tag === "base");
      }
    }
    const isText = token.tagName === "style" || token.tagName === "script" || token.tagName === "title";
    if (isText && token.selfClosing && this.#context.xhtml) this.#parser.expectMarkup();
    else if (token.tagName === "style") this.#style = new CssRewriter(this.#translate);
    this.#passed(token);
  }

  readonly #translate = (reference: string): string => {
    const { map, user } = this.#context;
    return map.translate(reference, user, this.#base !== "foreign");
  };

  readonly #translateBase = (reference: string): string => {
    const { map, user } = this.#context;
    return map.translate(reference, user);
  };

  /** With a base elsewhere, references without a host lead there (HTML section "the base element"); the first one counts. */
  #noteBase(token: StartTag): void {
    const href = valueOf(token, "href")?.trim();
    if (this.#base !== "none" || href === undefined) return;
    const foreign = /^([a-z][a-z\d+.-]*:|\/\/)/i.test(href) && this.#translateBase(href) === href;
    const own = URL.parse(href, `${this.#context.user.proto}://${this.#context.user.host}/`);
    this.#base = foreign && own?.host !== this.#context.user.host.toLowerCase() ? "foreign" : "ours";
  }

  #hasForeignCharset(token: StartTag): boolean {
    const named = valueOf(token, "charset") ??
      /charset\s*=\s*["']?([^"';\s]+)/i.exec(valueOf(token, "content") ?? "")?.[1];
    // A page that can say so in ASCII is not in UTF-16, whatever it says (HTML section "determining the character encoding").
    return named !== undefined && !/^utf-?16/i.test(named.trim()) && !isAsciiCharset(named);
  }

  #attribute(
    { startOffset, endOffset }: { startOffset: number; endOffset: number },
    rewrite: NonNullable<ReturnType<typeof rewriteOf>>,
    isBase: boolean,
  ): void {
    const raw = this.#text.slice(startOffset - this.#offset, endOffset - this.#offset);
    const parts = ATTRIBUTE.exec(raw);
    if (parts === null) return;
    const [, head, quote] = parts as unknown as [string, string, string];
    const value = raw.slice(head.length + quote.length, raw.length - quote.length);
    const plain = value.includes("&") ? unescapeAscii(value) : value;
    const changed = rewrite(plain, isBase ? this.#translateBase : this.#translate);
    if (changed === plain) return;
    const mark = quote === "" ? '"' : quote;
    this.#copyTo(startOffset);
    this.#out += head + mark + changed.replaceAll(mark, mark === '"' ? "&quot;" : "&#39;") + mark;
    this.#skipTo(endOffset);
  }
}

/** Attributes by their names in lower case, offsets from the start of the page. */
interface TagLocation {
  attrs?: Readonly<Record<string, { startOffset: number; endOffset: number }>>;
}

interface Located {
  sourceCodeLocation?: { startOffset: number; endOffset: number } | null | undefined;
}

const ATTRIBUTE = /^([^=]+=[\t\n\f\r ]*)(["']?)/;

function valueOf(token: StartTag, name: string): string | undefined {
  return token.attrs.find((attribute) => attribute.name === name)?.value;
}

const NAMED: Readonly<Record<string, string>> = {
  quot: '"',
  apos: "'",
  sol: "/",
  colon: ":",
  lpar: "(",
  rpar: ")",
  period: ".",
  num: "#",
  quest: "?",
};

/** Character references to ASCII, but for `&` itself, whose own ones stay: so does all that they could be part of. */
function unescapeAscii(value: string): string {
  return value.replace(
    /&(?:#0*(\d{1,3})(?!\d)|#[xX]0*([\da-fA-F]{1,2})(?![\da-fA-F])|([a-z]+)(?=;));?/g,
    (all, decimal?: string, hex?: string, name?: string) => {
      if (name !== undefined) return Object.hasOwn(NAMED, name) ? NAMED[name]! : all;
      const code = decimal === undefined ? parseInt(hex!, 16) : Number(decimal);
      return code >= 0x20 && code < 0x7f && code !== 0x26 ? String.fromCharCode(code) : all;
    },
  );
}
