/** Changes one URL reference. */
export type Translate = (reference: string) => string;

/** `Refresh`, and `content` of its form in HTML: seconds, then `url=`, quoted or not (HTML section "shared declarative refresh"). */
export function translateRefresh(value: string, translate: Translate): string {
  const parts = /^(\s*[\d.]+\s*[;,\s]\s*(?:url\s*=\s*)?)(["']?)([^]*)$/i.exec(value);
  if (parts === null) return value;
  const [, head, quote, rest] = parts as unknown as [string, string, string, string];
  const end = quote === "" ? rest.trimEnd().length : rest.indexOf(quote);
  const url = end === -1 ? rest : rest.slice(0, end);
  const translated = translate(url);
  return translated === url ? value : head + quote + translated + rest.slice(url.length);
}

/** `Link` (RFC 8288): the targets, which stand in angle brackets outside of quotes. */
export function translateLinkHeader(value: string, translate: Translate): string {
  let out = "";
  let from = 0;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (quoted) {
      if (code === 0x5c) i++;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) {
      quoted = true;
    } else if (code === 0x3c) {
      const end = value.indexOf(">", i);
      if (end === -1) break;
      out += value.slice(from, i + 1) + translate(value.slice(i + 1, end));
      from = end;
      i = end;
    }
  }
  return from === 0 ? value : out + value.slice(from);
}
