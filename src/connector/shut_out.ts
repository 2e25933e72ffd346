import { DialError } from "./errors.ts";
import { RegistrationError } from "./identity/errors.ts";

const REGISTER_AGAIN =
  "ask an administrator for a token of this connector (sallyport-broker token create --connector ID), stop this " +
  "program, then run: sallyport-connector register --force --token-file FILE";

const UNTRUSTED =
  "compare the CA fingerprint of the broker (sallyport-broker ca show) with that of ca.pem in the state folder; where a " +
  "proxy on the way intercepts TLS, exempt the broker from it; where the broker has another authority, restore the one " +
  `of before, or register again: ${REGISTER_AGAIN}`;

/** Refusals that only an administrator or a person on this host can change, with what to do. */
const REMEDIES: ReadonlyMap<unknown, string> = new Map([
  [
    "connector_disabled",
    "an administrator has disabled this connector: ask for it to be enabled; it then comes back by itself, or at once " +
    "when it is started again",
  ],
  [
    "connector_unknown",
    "this connector was deleted: ask an administrator for an enrolment token, stop this program, then run: " +
    "sallyport-connector register --force --token-file FILE",
  ],
  ["certificate_revoked", `this connector's certificate was revoked: ${REGISTER_AGAIN}`],
  ["certificate_unknown", `the broker does not know this connector's certificate: ${REGISTER_AGAIN}`],
  [
    "certificate_superseded",
    `another process has used a later certificate of this connector, so this folder is an old copy: ${REGISTER_AGAIN}`,
  ],
  ["reenrolment_late", `this connector was off for too long after its certificate ended: ${REGISTER_AGAIN}`],
  [
    "reenrolment_off",
    `this connector's certificate has ended, and coming back is switched off at the broker: ${REGISTER_AGAIN}`,
  ],
  ["proof_invalid", `the broker does not accept this connector's key: ${REGISTER_AGAIN}`],
  ["broker_untrusted", `this connector does not trust the broker: ${UNTRUSTED}`],
  ["tls_intercepted", `this connector does not trust the server at the broker's address: ${UNTRUSTED}`],
]);

/** Those that end without anything being done here, when the broker or the network is set right: dialled at the usual pace. */
const MAY_PASS: ReadonlySet<string> = new Set(["broker_untrusted", "tls_intercepted"]);

/** Why a connector is shut out, and what to do about it. */
export interface ShutOut {
  code: string;
  todo: string;
}

/** The shut-out that an error tells of; null for all that may pass by itself. */
export function shutOutBy(error: Error | null): ShutOut | null {
  const code = error instanceof DialError
    ? (MAY_PASS.has(error.code) ? error.code : error.details.reason)
    : error instanceof RegistrationError
    ? error.code
    : undefined;
  const todo = REMEDIES.get(code);
  return todo === undefined ? null : { code: String(code), todo };
}

/** True for a shut-out that is dialled against at the usual pace, and logged seldom. */
export function mayPass({ code }: ShutOut): boolean {
  return MAY_PASS.has(code);
}
