import { DialError } from "./errors.ts";
import { RegistrationError } from "./identity/errors.ts";

const REGISTER_AGAIN =
  "ask an administrator for a token of this connector (sallyport-broker token create --connector ID), stop this " +
  "program, then run: sallyport-connector register --force --token-file FILE";

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
]);

/** Why a connector is shut out, and what to do about it. */
export interface ShutOut {
  code: string;
  todo: string;
}

/** The shut-out that an error tells of; null for all that may pass by itself. */
export function shutOutBy(error: Error | null): ShutOut | null {
  const code = error instanceof DialError
    ? error.details.reason
    : error instanceof RegistrationError
    ? error.code
    : undefined;
  const todo = REMEDIES.get(code);
  return todo === undefined ? null : { code: String(code), todo };
}
