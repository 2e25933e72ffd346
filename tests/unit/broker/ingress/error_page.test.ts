import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { formatFor } from "../../../../src/broker/ingress/accept.ts";
import { errorResponse } from "../../../../src/broker/ingress/error_page.ts";
import { ERROR_TEXTS, INGRESS_CODES } from "../../../../src/broker/ingress/error_table.ts";

function headersOf(list: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (let i = 0; i < list.length; i += 2) {
    assert.equal(headers[list[i]!], undefined, `${list[i]} stands once`);
    headers[list[i]!] = list[i + 1]!;
  }
  return headers;
}

test("formatFor gives pages to browsers and problems to programs", () => {
  const cases: [string | undefined, "html" | "problem"][] = [
    [undefined, "problem"],
    ["", "problem"],
    ["*/*", "problem"],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"],
    ["TEXT/HTML", "html"],
    ["application/json", "problem"],
    ["application/json, text/html", "html"],
    ["application/json, text/html;q=0.9", "problem"],
    ["application/problem+json;q=0.5, text/html; q=0.6", "html"],
    ["text/html;q=0", "problem"],
    ["text/html;q=nonsense", "problem"],
    ["text/*", "html"],
    ["image/png", "problem"],
  ];
  for (const [accept, format] of cases) assert.equal(formatFor(accept), format, String(accept));
});

test("every code has a response that says its code and the request id, as a page and as a problem", () => {
  for (const code of INGRESS_CODES) {
    const page = errorResponse(code, { requestId: "r-<1>", accept: "text/html", method: "GET" });
    const headers = headersOf(page.headers);
    const html = page.body.toString();
    assert.equal(page.status, ERROR_TEXTS[code].status);
    assert.equal(headers["content-type"], "text/html; charset=utf-8");
    assert.equal(headers["content-length"], String(page.body.length));
    assert.equal(headers["cache-control"], "no-store");
    assert.ok(html.includes(`<dd>${code}</dd>`) && html.includes("<dd>r-&lt;1&gt;</dd>"));

    const problem = errorResponse(code, { requestId: "r-<1>" });
    assert.equal(headersOf(problem.headers)["content-type"], "application/problem+json");
    assert.deepEqual(JSON.parse(problem.body.toString()), {
      type: "about:blank",
      title: ERROR_TEXTS[code].title,
      status: ERROR_TEXTS[code].status,
      detail: ERROR_TEXTS[code].detail,
      code,
      requestId: "r-<1>",
    });
  }
});

test("a page loads nothing, and its policy allows exactly its own style", () => {
  const { headers, body } = errorResponse("no_app", { requestId: "r", accept: "text/html" });
  const html = body.toString();
  const style = /<style>([\s\S]*)<\/style>/.exec(html)![1]!;
  const hash = createHash("sha256").update(style).digest("base64");
  const policy = headersOf(headers)["content-security-policy"]!;
  assert.ok(policy.startsWith(`default-src 'none'; style-src 'sha256-${hash}'`));
  assert.doesNotMatch(html, /<script|<img|<link|url\(|https?:/);
});

test("HEAD gets the length of the body and no body; 503 says when to try again", () => {
  const full = errorResponse("no_connector", { requestId: "r" });
  const head = errorResponse("no_connector", { requestId: "r", method: "HEAD", retryAfter: 30 });
  assert.equal(head.body.length, 0);
  assert.equal(headersOf(head.headers)["content-length"], String(full.body.length));
  assert.equal(headersOf(full.headers)["retry-after"], "5");
  assert.equal(headersOf(head.headers)["retry-after"], "30");
});
