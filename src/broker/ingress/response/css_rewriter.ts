import { type CSSToken, tokenizer, TokenType } from "@csstools/css-tokenizer";
import type { Translate } from "./header_values.ts";

/** Longest part of a style sheet between two of `;`, `{` and `}` that is looked into, in characters; from there on it passes as it is. */
export const MOST_HELD_CSS: number = 1024 * 1024;
/** Characters that are gathered before the tokenizer is asked. */
const WORTH_A_LOOK = 16 * 1024;

/** Functions whose strings are URLs. */
const URL_FUNCTIONS: ReadonlySet<string> = new Set(["url", "src", "image-set", "-webkit-image-set"]);

/**
 * Translates URLs of a style sheet that comes in pieces, one byte a character (latin1), so that every encoding in which ASCII
 * is ASCII passes as it is. The tokenizer wants whole text: it gets what ends with `;`, `{` or `}`, behind which it always starts afresh.
 */
export class CssRewriter {
  readonly #translate: Translate;
  readonly #mostHeld: number;
  #held = "";
  #lookAt = WORTH_A_LOOK;
  #passing = false;

  constructor(translate: Translate, mostHeld: number = MOST_HELD_CSS) {
    this.#translate = translate;
    this.#mostHeld = mostHeld;
  }

  /** Takes a piece; gives what is ready of the result. */
  write(text: string): string {
    if (this.#passing) return text;
    this.#held += text;
    if (this.#held.length < this.#lookAt) return "";
    const { out, end } = rewrite(this.#held, this.#translate, false);
    this.#held = this.#held.slice(end);
    this.#lookAt = Math.max(WORTH_A_LOOK, 2 * this.#held.length);
    if (this.#held.length < this.#mostHeld) return out;
    return out + this.giveUp();
  }

  /** The rest of the result. */
  end(): string {
    const { out } = rewrite(this.#held, this.#translate, true);
    this.#held = "";
    return out;
  }

  /** What is held, as it came; all that follows passes as it is. */
  giveUp(): string {
    const held = this.#held;
    this.#held = "";
    this.#passing = true;
    return held;
  }
}

/** Translates the declarations of a `style` attribute, or a whole style sheet. */
export function rewriteCss(text: string, translate: Translate): string {
  return rewrite(text, translate, true).out;
}

/** Rewrites up to the last point at which the tokenizer may start afresh, or all of it; `end`: how much of it that was. */
function rewrite(css: string, translate: Translate, whole: boolean): { out: string; end: number } {
  const tokens = tokenizer({ css });
  /** Names of the open functions and brackets. */
  const open: string[] = [];
  let out = "";
  let copied = 0;
  /** Result and input up to the last safe point. */
  let safeOut = "";
  let safeEnd = 0;
  /** The next string is the address of a style sheet. */
  let importing = false;
  for (;;) {
    const token = tokens.nextToken();
    const [type, raw, start, end] = token;
    if (type === TokenType.EOF) break;
    switch (type) {
      case TokenType.Semicolon:
      case TokenType.OpenCurly:
      case TokenType.CloseCurly:
        open.length = 0;
        importing = false;
        if (!whole) {
          safeEnd = end + 1;
          out += css.slice(copied, safeEnd);
          copied = safeEnd;
          safeOut = out;
        }
        continue;
      case TokenType.AtKeyword:
        importing = raw.toLowerCase() === "@import";
        continue;
      case TokenType.Whitespace:
      case TokenType.Comment:
        continue;
      case TokenType.Function:
        open.push(token[4].value.toLowerCase());
        continue;
      case TokenType.OpenParen:
      case TokenType.OpenSquare:
        open.push("");
        continue;
      case TokenType.CloseParen:
      case TokenType.CloseSquare:
        open.pop();
        continue;
      case TokenType.URL:
      case TokenType.String: {
        const isUrl = type === TokenType.URL ||
          (open.length === 0 ? importing : URL_FUNCTIONS.has(open.at(-1)!));
        importing = false;
        const changed = isUrl ? rewriteUrl(token, translate) : undefined;
        if (changed === undefined) continue;
        out += css.slice(copied, start) + changed;
        copied = end + 1;
        continue;
      }
    }
  }
  return whole ? { out: out + css.slice(copied), end: css.length } : { out: safeOut, end: safeEnd };
}

const UNQUOTED = /^(url\([ \t\r\n\f]*)([^]*?)([ \t\r\n\f]*\)?)$/i;

/** The token with its URL translated; undefined where it stays. */
function rewriteUrl(token: CSSToken, translate: Translate): string | undefined {
  const [type, raw] = token;
  const { value } = token[4] as { value: string };
  let before: string;
  let content: string;
  let after: string;
  if (type === TokenType.URL) {
    const parts = UNQUOTED.exec(raw);
    if (parts === null) return undefined; // "url" itself may be written with escapes.
    [before, content, after] = parts.slice(1) as [string, string, string];
  } else {
    before = raw[0]!;
    after = raw.length > 1 && raw.endsWith(before) ? before : "";
    content = raw.slice(1, raw.length - after.length);
  }
  // What is escaped there could be a character that this encoding writes otherwise.
  if (content.includes("\\")) {
    if (/[^\x20-\x7e]/.test(value)) return undefined;
    content = value;
  }
  const translated = translate(content);
  if (translated === content) return undefined;
  const special = type === TokenType.URL ? /[\\"'() ]/g : /[\\"']/g;
  return before + translated.replace(special, "\\$&") + after;
}
