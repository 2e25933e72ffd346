import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Maintenance } from "../app_traffic.ts";
import { formatFor } from "./accept.ts";
import { ERROR_TEXTS, type ErrorText, type IngressCode } from "./error_table.ts";

/** What an error response depends on. */
export interface ErrorContext {
  readonly requestId: string;
  /** The request's `Accept`. */
  readonly accept?: string | undefined;
  /** `HEAD` gets no body. */
  readonly method?: string | undefined;
  /** What an app's administrator has to say, and when to come back. */
  readonly maintenance?: Maintenance | undefined;
  /** Seconds for `Retry-After`, where it is known better than the table does. */
  readonly retryAfter?: number | undefined;
}

/** A whole response. */
export interface ErrorResponse {
  readonly status: number;
  /** Names (lower case, good for HTTP/2 too) and values in turn. */
  readonly headers: string[];
  /** Empty for `HEAD`, whose `content-length` is that of the body left out. */
  readonly body: Buffer;
}

/** The response for an error: a page for people or a problem (RFC 9457) for programs; never cached. */
export function errorResponse(code: IngressCode, context: ErrorContext): ErrorResponse {
  const text = saidOf(ERROR_TEXTS[code], context.maintenance);
  const html = formatFor(context.accept) === "html";
  const body = Buffer.from(
    html ? page(code, text, context.requestId) : problem(code, text, context.requestId),
  );
  const headers = [
    "content-type",
    html ? "text/html; charset=utf-8" : "application/problem+json",
    "content-length",
    String(body.length),
    "cache-control",
    "no-store",
    "vary",
    "accept",
    "x-content-type-options",
    "nosniff",
    "x-request-id",
    context.requestId,
  ];
  if (html) headers.push("content-security-policy", POLICY, "referrer-policy", "no-referrer");
  const retryAfter = context.retryAfter ?? text.retryAfter;
  if (retryAfter !== undefined) headers.push("retry-after", String(retryAfter));
  return { status: text.status, headers, body: context.method === "HEAD" ? Buffer.alloc(0) : body };
}

/** An empty message leaves the words of the table; 0 seconds say nothing of when. */
function saidOf(text: ErrorText, maintenance: Maintenance | undefined): ErrorText {
  if (maintenance === undefined) return text;
  const { retryAfter: _table, ...rest } = text;
  const { message, retryAfterS } = maintenance;
  const detail = message.trim() === "" ? text.detail : message;
  return retryAfterS === 0 ? { ...rest, detail } : { ...rest, detail, retryAfter: retryAfterS };
}

function problem(code: IngressCode, { status, title, detail }: ErrorText, requestId: string): string {
  return JSON.stringify({ type: "about:blank", title, status, detail, code, requestId });
}

const STYLE = `
:root{color-scheme:light dark;--ground:#f5f6f8;--card:#fff;--ink:#1b2430;--soft:#5b6675;--line:#dfe3e9;--mark:#2f6fde}
@media(prefers-color-scheme:dark){:root{--ground:#11151b;--card:#1a2029;--ink:#e8ecf2;--soft:#9aa6b5;--line:#2b333f;--mark:#7aa7ff}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:2.25rem 2.25rem 1.75rem;
box-shadow:0 1px 2px rgb(0 0 0/.04),0 12px 32px rgb(0 0 0/.07)}
.status{margin:0;color:var(--mark);font-weight:600;letter-spacing:.04em}
h1{margin:.35rem 0 .75rem;font-size:1.5rem;line-height:1.25;letter-spacing:-.01em;text-wrap:balance}
p{margin:0 0 1.25rem;color:var(--soft);white-space:pre-line;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1rem;margin:1.5rem 0 0;padding-top:1.25rem;border-top:1px solid var(--line);font-size:.875rem}
dt{color:var(--soft)}
dd{margin:0;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere;user-select:all}
`;

/** Nothing but this style: no scripts, no requests, no frames. */
const POLICY = `default-src 'none'; style-src 'sha256-${
  createHash("sha256").update(STYLE).digest("base64")
}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

function page(code: IngressCode, { status, title, detail }: ErrorText, requestId: string): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${status} - ${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<p class="status">Error ${status}</p>
<h1>${escape(title)}</h1>
<p>${escape(detail)}</p>
<dl><dt>Code</dt><dd>${escape(code)}</dd><dt>Request id</dt><dd>${escape(requestId)}</dd></dl>
</main>
</body>
</html>
`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);
}
