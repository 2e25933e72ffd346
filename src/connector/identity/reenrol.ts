import { sign } from "node:crypto";
import { readCertificates, readPrivateKey } from "../../platform/certificate.ts";
import { parseEnrolmentResponse } from "../../protocol/enrolment.ts";
import {
  parseReenrolmentNonce,
  REENROL_NONCE_PATH,
  REENROL_PATH,
  reenrolmentProof,
  type ReenrolmentRequest,
} from "../../protocol/reenrolment.ts";
import type { ProxyFor } from "../outbound/proxy.ts";
import { checkClock } from "./broker_clock.ts";
import { callBroker } from "./broker_call.ts";
import type { EnrolmentTarget } from "./enrolment_socket.ts";
import type { Identity } from "./identity.ts";

/** What a connector says of itself when it comes back. */
export interface ReenrolOptions extends Pick<ReenrolmentRequest, "csr" | "machineName" | "os" | "version"> {
  proxyFor?: ProxyFor | undefined;
  /** Milliseconds that each step of the conversation may take. */
  stepMs: number;
  signal: AbortSignal;
}

/**
 * Asks for a certificate with an expired one: signs a nonce of the broker with the old key. Gives the new certificate
 * with its issuer's, PEM. Throws `RegistrationError`, `clock_wrong` where it is this host's clock that has it expired.
 */
export async function reenrol(identity: Identity, options: ReenrolOptions): Promise<string> {
  const { stepMs, signal, proxyFor, ...message } = options;
  const { address, enrolName, ca } = identity;
  const target: EnrolmentTarget = { address, enrolName, trust: { ca }, stepMs, signal, proxyFor };
  const { nonce, time } = await callBroker(target, REENROL_NONCE_PATH, "", parseReenrolmentNonce);
  checkClock(time);
  const serial = readCertificates(identity.certificate)[0].serialNumber.toLowerCase();
  const proof = reenrolmentProof({ nonce, serial, csr: message.csr });
  const signature = sign("sha256", proof, readPrivateKey(identity.key.reveal())).toString("base64");
  const request: ReenrolmentRequest = { ...message, serial, nonce, signature };
  const answer = await callBroker(target, REENROL_PATH, JSON.stringify(request), parseEnrolmentResponse);
  return answer.certificate;
}
