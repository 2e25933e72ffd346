import assert from "node:assert/strict";
import { test } from "node:test";
import { connectError } from "../../../../src/connector/backend/classify.ts";
import { ProxyError } from "../../../../src/connector/outbound/errors.ts";

/** An error as the system gives it. */
function system(code: string, cause?: Error): Error {
  return Object.assign(new Error(`connect ${code}`, { cause }), { code });
}

const codeOf = (cause: unknown, phase: "dns" | "tcp" | "tls" = "tcp") =>
  connectError("b:80", phase, cause).code;

test("connectError: what this host has run out of is said of the connector, at whichever step it shows", () => {
  for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EAGAIN"]) {
    for (const phase of ["dns", "tcp", "tls"] as const) {
      assert.equal(codeOf(system(code), phase), "connector_exhausted", `${code} ${phase}`);
    }
    assert.equal(connectError("b:80", "tcp", system(code)).retryable, true);
  }
  assert.equal(codeOf(system("EBUSY"), "dns"), "connector_exhausted", "glibc's resolver without descriptors");
});

test("connectError: of several addresses one that was not tried is enough; so is what an error of the proxy wraps", () => {
  const all = new AggregateError([system("ECONNREFUSED"), system("EMFILE")]);
  assert.equal(codeOf(all), "connector_exhausted");
  assert.equal(codeOf(new AggregateError([system("ECONNREFUSED"), system("ETIMEDOUT")])), "backend_refused");
  const cause = system("EMFILE");
  assert.equal(codeOf(new ProxyError("proxy_ca_unreadable", "no", { cause })), "connector_exhausted");
});

test("connectError: ports that are used up towards one backend are that backend's affair", () => {
  assert.equal(codeOf(system("EADDRNOTAVAIL")), "backend_unreachable");
  assert.equal(codeOf(system("ECONNREFUSED")), "backend_refused");
  assert.equal(codeOf(system("ENOTFOUND"), "dns"), "backend_dns_failed");
});

test("connectError: errors that name one another as their cause are no endless affair", () => {
  const one = system("EWHAT");
  one.cause = system("EWHAT", one);
  assert.equal(codeOf(one), "backend_connect_failed");
});

test("connectError: of OpenSSL's message only what happened is told", () => {
  const openssl = (what: string) =>
    Object.assign(
      new Error(
        `40930DDABF7F0000:error:0A00010B:SSL routines:tls_validate:${what}:../deps/openssl/any.c:78:\n`,
      ),
      { code: "EPROTO" },
    );
  assert.match(
    connectError("b:443", "tls", openssl("wrong version number")).message,
    /: what answers there does not speak TLS \(wrong version number\)$/,
  );
  assert.match(
    connectError("b:443", "tls", openssl("tlsv1 alert internal error")).message,
    /"b:443": tlsv1 alert internal error$/,
  );
});
