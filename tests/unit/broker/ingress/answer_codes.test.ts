import assert from "node:assert/strict";
import { test } from "node:test";
import { answerTo, countedAs } from "../../../../src/broker/ingress/answer_codes.ts";
import { ERROR_TEXTS } from "../../../../src/broker/ingress/error_table.ts";
import { BACKEND_CODES } from "../../../../src/connector/backend/errors.ts";

test("answerTo: every code of a backend has an answer that says whose fault it is", () => {
  const statuses = Object.fromEntries(
    BACKEND_CODES.map((code) => [code, ERROR_TEXTS[answerTo(code)].status]),
  );
  assert.deepEqual(statuses, {
    backend_not_allowed: 502,
    backend_dns_failed: 502,
    backend_refused: 502,
    backend_unreachable: 502,
    backend_connect_timeout: 504,
    backend_connect_failed: 502,
    backend_tls_untrusted: 502,
    backend_tls_name_mismatch: 502,
    backend_tls_expired: 502,
    backend_tls_failed: 502,
    backend_wrong_protocol: 502,
    backend_timeout: 504,
    backend_idle_timeout: 504,
    backend_reset: 502,
    backend_bad_response: 502,
    backend_head_too_large: 502,
    backend_bad_request: 400,
    backend_misconfigured: 502,
    backend_busy: 503,
    backend_closed: 502,
    connector_exhausted: 503,
  });
});

test("answerTo: a code that nobody knows is a lost tunnel", () => {
  assert.equal(answerTo("from_the_future"), "tunnel_lost");
  assert.equal(answerTo("toString"), "tunnel_lost");
  assert.equal(answerTo("app_unknown"), "no_connector");
});

test("countedAs: codes of our own stay what they are, what a connector invents is one of few", () => {
  for (const code of BACKEND_CODES) assert.equal(countedAs(code), code);
  const invented = Array.from({ length: 1_000 }, (_, i) => [
    `backend_tls_${"abcdefghij"[i % 10]!.repeat(1 + i / 40)}`,
    `x${i}`,
  ]).flat();
  assert.deepEqual(new Set(invented.map(countedAs)), new Set(["backend_tls_failed", "tunnel_lost"]));
});
