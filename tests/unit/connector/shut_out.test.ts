import assert from "node:assert/strict";
import { test } from "node:test";
import { DialError } from "../../../src/connector/errors.ts";
import { RegistrationError } from "../../../src/connector/identity/errors.ts";
import { mayPass, shutOutBy } from "../../../src/connector/shut_out.ts";

test("shut out: by what only a person can change, with what to do", () => {
  const refused = (reason: string) => new DialError("tunnel_refused", "", { details: { reason } });
  for (
    const reason of ["connector_disabled", "connector_unknown", "certificate_revoked", "certificate_unknown"]
  ) {
    assert.equal(shutOutBy(refused(reason))?.code, reason);
  }
  for (const code of ["reenrolment_late", "reenrolment_off", "certificate_superseded"] as const) {
    const { todo } = shutOutBy(new RegistrationError(code, ""))!;
    assert.match(todo, /token create --connector ID.*register --force/);
  }
});

test("shut out: by a broker that it does not trust, whatever OpenSSL calls it; that may pass", () => {
  for (const code of ["broker_untrusted", "tls_intercepted"] as const) {
    const shutOut = shutOutBy(new DialError(code, "", { details: { reason: "SELF_SIGNED_CERT_IN_CHAIN" } }))!;
    assert.equal(shutOut.code, code);
    assert.match(shutOut.todo, /fingerprint.*intercepts TLS.*register --force/);
    assert.ok(mayPass(shutOut));
  }
  assert.ok(!mayPass(shutOutBy(new RegistrationError("reenrolment_off", ""))!));
});

test("shut out: not by what passes", () => {
  assert.equal(shutOutBy(null), null);
  assert.equal(shutOutBy(new TypeError("x")), null);
  assert.equal(shutOutBy(new DialError("broker_unreachable", "")), null);
  assert.equal(shutOutBy(new DialError("tunnel_refused", "", { details: { reason: "http_503" } })), null);
  assert.equal(shutOutBy(new RegistrationError("enrolment_busy", "")), null);
});
