import type { X509Certificate } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { certificateFingerprint, validity } from "../../platform/certificate.ts";
import type { HostPort } from "../../protocol/address.ts";
import { checkValidity, clockWrong } from "./broker_clock.ts";
import { certificateChain, isBrokerAuthority, issuerOf } from "./certificate_chain.ts";
import { ProxyError } from "../outbound/errors.ts";
import type { ProxyFor } from "../outbound/proxy.ts";
import { connectThroughProxy } from "../outbound/proxy_socket.ts";
import { RegistrationError } from "./errors.ts";

/** Where to enrol, and what is known of who answers there. */
export interface EnrolmentTarget {
  address: HostPort;
  /** Name in the broker's certificate for enrolment, sent as SNI. */
  enrolName: string;
  /** SHA-256 of the root certificate that is to be trusted, lower-case hex; or, once it is known, the roots, PEM. */
  trust: { caFingerprint: string } | { ca: string };
  /** Milliseconds that each step (connect, TLS, answer) may take. */
  stepMs: number;
  signal?: AbortSignal | undefined;
  /** The proxy on the way; none by default. */
  proxyFor?: ProxyFor | undefined;
}

/**
 * Connects to the broker, verified: by roots that are known, or by a fingerprint. With a fingerprint a first connection,
 * over which nothing is said, gets the root certificate that the server sends along; then a second one trusts that root
 * and nothing else, so that chain, dates and name are checked by TLS itself. Throws `RegistrationError`.
 */
export async function connectEnrolment(target: EnrolmentTarget): Promise<TLSSocket> {
  const { trust } = target;
  if ("caFingerprint" in trust) {
    return await openTls(target, { ca: await fetchRoot(target, trust.caFingerprint) });
  }
  try {
    return await openTls(target, trust);
  } catch (error) {
    if (!(error instanceof RegistrationError) || error.code !== "broker_untrusted") throw error;
    const chain = await look(target).catch(() => []);
    throw chain.length === 0
      ? error
      : untrusted(target, chain, "the authority that this connector trusts", error);
  }
}

/** The root with this fingerprint, PEM, as the server sends it along. */
export async function fetchRoot(target: EnrolmentTarget, fingerprint: string): Promise<string> {
  const chain = await look(target);
  const root = chain.find((certificate) => certificateFingerprint(certificate) === fingerprint);
  if (root === undefined) throw untrusted(target, chain, "the authority of this token");
  checkValidity(validity(chain[0]!));
  return root.toString();
}

/** What the server shows, over a connection on which nothing is said. */
async function look(target: EnrolmentTarget): Promise<X509Certificate[]> {
  const socket = await openTls(target, { rejectUnauthorized: false });
  const chain = certificateChain(socket);
  close(socket);
  return chain;
}

/** Another broker's authority, or one that has nothing to do with brokers: then something on the way ends TLS. */
function untrusted(
  { address, enrolName }: EnrolmentTarget,
  chain: X509Certificate[],
  wanted: string,
  cause?: unknown,
): RegistrationError {
  const issuer = issuerOf(chain);
  const details = { step: "tls", issuer, found: chain.map(certificateFingerprint) };
  const server = `Cannot trust the server at "${address.host}" port ${address.port}`;
  if (isBrokerAuthority(chain)) {
    const state = `it is a broker with another certificate authority ("${issuer}") than ${wanted}`;
    return new RegistrationError("ca_fingerprint_mismatch", `${server}: ${state}`, { cause, details });
  }
  const state =
    `its certificate is issued by "${issuer}" and not by ${wanted}: a proxy on the way intercepts TLS ` +
    `(exempt "${enrolName}" and the broker's address from that), or the address is another server's`;
  return new RegistrationError("tls_intercepted", `${server}: ${state}`, { cause, details });
}

async function openTls(
  target: EnrolmentTarget,
  trust: { ca: string } | { rejectUnauthorized: false },
): Promise<TLSSocket> {
  const tcp = await openTcp(target);
  const tls = connectTls({
    socket: tcp,
    servername: target.enrolName,
    ALPNProtocols: ["http/1.1"],
    ...trust,
  });
  await settled(tls, "secureConnect", "tls", target, classifyTls);
  return tls;
}

async function openTcp(target: EnrolmentTarget): Promise<Socket> {
  const { address, proxyFor, stepMs, signal } = target;
  try {
    const proxy = proxyFor?.(address) ?? null;
    if (proxy !== null) return await connectThroughProxy(proxy, address, { stepMs, signal });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    if (signal?.aborted) throw abortedError();
    const { code, message, retryable, details } = error;
    throw new RegistrationError(code, message, { cause: error, retryable, details });
  }
  const tcp = connectTcp({ ...address, noDelay: true });
  await settled(tcp, "connect", "connect", target, classifyTcp);
  return tcp;
}

/** Waits for one event of a socket; an error, its end, the deadline or the signal destroys it and throws. */
function settled(
  socket: Socket,
  event: string,
  step: "connect" | "tls",
  { address, stepMs, signal }: EnrolmentTarget,
  classify: (cause: NodeJS.ErrnoException, where: string) => RegistrationError,
): Promise<void> {
  const where = `"${address.host}" port ${address.port}`;
  return new Promise((resolve, reject) => {
    const finish = (error: RegistrationError | null): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      socket.off(event, succeeded).off("error", failed).off("close", closed);
      if (error === null) return resolve();
      close(socket);
      reject(error);
    };
    const succeeded = (): void => finish(null);
    const failed = (cause: NodeJS.ErrnoException): void => finish(classify(cause, where));
    // Deno tells of the close before the error that caused it: look a moment later.
    const closed = (): void => {
      setImmediate(() => finish(lost(step, where)));
    };
    const aborted = (): void => finish(abortedError());
    const timer = setTimeout(() => finish(timedOut(step, where, stepMs)), stepMs);
    socket.once(event, succeeded).once("error", failed).once("close", closed);
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) aborted();
  });
}

/** Ends a socket, never within an event of it: destroying one inside `secureConnect` has aborted both runtimes. */
export function close(socket: Socket): void {
  socket.on("error", () => {});
  setImmediate(() => socket.destroy());
}

/** The broker was silent for a whole step. */
export function timedOut(step: string, where: string, stepMs: number): RegistrationError {
  const message = `Cannot register: ${where} did not answer within ${stepMs} ms (step "${step}")`;
  return new RegistrationError("broker_timeout", message, { retryable: true, details: { step } });
}

/** The caller gave up. */
export function abortedError(): RegistrationError {
  return new RegistrationError("registration_aborted", "Cannot register: it was cancelled", {
    retryable: true,
  });
}

/** The connection ended without a reason. */
export function lost(step: string, where: string, cause?: unknown): RegistrationError {
  const message = `Cannot register: ${where} closed the connection (step "${step}")`;
  return new RegistrationError("broker_lost", message, { cause, retryable: true, details: { step } });
}

function classifyTcp(cause: NodeJS.ErrnoException, where: string): RegistrationError {
  const details = { step: "connect", reason: cause.code };
  if (cause.code === "ENOTFOUND" || cause.code === "EAI_AGAIN" || /failed to lookup/i.test(cause.message)) {
    const message = `Cannot resolve the broker's address ${where}`;
    return new RegistrationError("broker_unresolvable", message, { cause, retryable: true, details });
  }
  const message = `Cannot reach the broker at ${where}: ${cause.code ?? cause.message}`;
  return new RegistrationError("broker_unreachable", message, { cause, retryable: true, details });
}

const CLOCK = /CERT_(HAS_EXPIRED|NOT_YET_VALID)|\b(Expired|NotValidYet)\b/;
const UNTRUSTED = /UNABLE_TO_|SELF_SIGNED|CERT_|INVALID_(CA|PURPOSE)|UnknownIssuer|invalid peer certificate/;

function classifyTls(cause: NodeJS.ErrnoException, where: string): RegistrationError {
  const details = { step: "tls", reason: cause.code };
  const reason = `${cause.code ?? ""} ${cause.message}`;
  if (cause.code === "ERR_TLS_CERT_ALTNAME_INVALID" || /NotValidForName/.test(reason)) {
    const message = `Cannot trust the server at ${where}: its certificate is for another name`;
    return new RegistrationError("broker_name_mismatch", message, { cause, details });
  }
  if (CLOCK.test(reason)) {
    return clockWrong(
      `the certificate of the server at ${where} is not valid by this host's clock`,
      details,
      cause,
    );
  }
  if (UNTRUSTED.test(reason)) {
    const message = `Cannot trust the server at ${where}: ${cause.message}`;
    return new RegistrationError("broker_untrusted", message, { cause, details });
  }
  return new RegistrationError("tls_failed", `Cannot speak TLS with ${where}: ${cause.message}`, {
    cause,
    details,
  });
}
