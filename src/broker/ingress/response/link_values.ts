import { rewriteCss } from "./css_rewriter.ts";
import { type Translate, translateRefresh } from "./header_values.ts";

/** An attribute as it is looked up: names in lower case, the value as it stands in the page. */
export interface AttributeContext {
  /** Of the element, lower case. */
  readonly tag: string;
  readonly name: string;
  /** The element is `<meta http-equiv=refresh>`. */
  readonly refreshes: boolean;
}

type Rewrite = (value: string, translate: Translate) => string;

const BY_NAME: Readonly<Record<string, Rewrite>> = {
  href: translateOne,
  src: translateOne,
  action: translateOne,
  formaction: translateOne,
  poster: translateOne,
  background: translateOne,
  cite: translateOne,
  longdesc: translateOne,
  manifest: translateOne,
  "xlink:href": translateOne,
  "xml:base": translateOne,
  ping: translateEach,
  srcset: translateSrcset,
  imagesrcset: translateSrcset,
  style: rewriteCss,
};

/** How the value of an attribute is translated; undefined where it holds no links. */
export function rewriteOf({ tag, name, refreshes }: AttributeContext): Rewrite | undefined {
  if (name === "data") return tag === "object" ? translateOne : undefined;
  if (name === "content") return refreshes ? translateRefresh : undefined;
  return Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
}

const SPACE = /[\t\n\f\r ]/;

function translateOne(value: string, translate: Translate): string {
  const start = value.search(/[^\t\n\f\r ]/);
  if (start === -1) return value;
  const url = value.slice(start).trimEnd();
  return value.slice(0, start) + translate(url) + value.slice(start + url.length);
}

function translateEach(value: string, translate: Translate): string {
  return value.replace(/[^\t\n\f\r ]+/g, translate);
}

/** `srcset` (HTML section "parsing a srcset attribute"): URLs with descriptors, separated by commas. */
function translateSrcset(value: string, translate: Translate): string {
  let out = "";
  let i = 0;
  while (i < value.length) {
    if (value[i] === "," || SPACE.test(value[i]!)) {
      out += value[i++];
      continue;
    }
    let end = i;
    while (end < value.length && !SPACE.test(value[end]!)) end++;
    let urlEnd = end;
    while (value[urlEnd - 1] === ",") urlEnd--;
    out += translate(value.slice(i, urlEnd)) + value.slice(urlEnd, end);
    i = end;
    if (urlEnd < end) continue;
    // What is in brackets, which do not nest, may have commas.
    let bracketed = false;
    for (; i < value.length && (bracketed || value[i] !== ","); i++) {
      if (value[i] === "(") bracketed = true;
      else if (value[i] === ")") bracketed = false;
      out += value[i];
    }
  }
  return out;
}
