import assert from "node:assert/strict";
import { constants } from "node:http2";
import { test } from "node:test";
import { exchangeError } from "../../../../src/connector/backend/exchange_error.ts";
import { http2Error } from "../../../../src/connector/backend/http2_error.ts";
import { nodeHttpError } from "../../../../src/connector/backend/node_http_error.ts";
import { undiciError } from "../../../../src/connector/backend/undici_error.ts";

const cause = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });

test("the same failure has the same code and words on every adapter", () => {
  const errors = [
    undiciError(cause, "sent"),
    nodeHttpError(cause, "sent"),
    http2Error(cause, constants.NGHTTP2_NO_ERROR, "sent"),
  ];
  for (const error of errors) {
    assert.equal(error.code, "backend_reset");
    assert.equal(error.message, errors[0]!.message);
    assert.equal(error.cause, cause);
    assert.equal(error.details.state, "sent");
  }
});

test("http2Error: a reset without an error names its code", () => {
  const error = http2Error(null, constants.NGHTTP2_REFUSED_STREAM, "sent");
  assert.equal(error.code, "backend_busy");
  assert.match(error.message, /RST_STREAM 7$/);
  assert.deepEqual(error.details, { state: "sent", reset: 7 });
});

test("an error that is ours already stays as it is", () => {
  const ours = exchangeError("backend_timeout");
  assert.equal(undiciError(ours, "sent"), ours);
  assert.equal(nodeHttpError(ours, "sent"), ours);
  assert.equal(http2Error(ours, constants.NGHTTP2_CANCEL, "sent"), ours);
});
