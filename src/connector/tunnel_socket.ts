import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type SecureVersion, type TLSSocket } from "node:tls";
import { formatHostPort, type HostPort } from "../protocol/address.ts";
import { DialError } from "./errors.ts";
import { certificateChain, isBrokerAuthority, issuerOf } from "./identity/certificate_chain.ts";
import { ProxyError } from "./outbound/errors.ts";
import type { ProxyFor } from "./outbound/proxy.ts";
import { connectThroughProxy } from "./outbound/proxy_socket.ts";

/** Where the broker is, whom we trust and who we are; certificates and key as PEM. */
export interface DialTarget {
  address: HostPort;
  /** Name in the broker's certificate, sent as SNI. */
  tunnelName: string;
  ca: string;
  certificate: string;
  key: string;
  minVersion?: SecureVersion;
  /** The proxy on the way; none by default. */
  proxyFor?: ProxyFor | undefined;
}

/** How far dialling got, as messages say it. */
const DURING = { connecting: "while connecting", tls: "in the TLS handshake" } as const;
type Step = keyof typeof DURING;

/** A TLS connection to the broker, verified, that has agreed on HTTP/2. Every step has `stepMs` milliseconds. */
export async function dialSocket(
  target: DialTarget,
  stepMs: number,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const tcp = await openTcp(target, stepMs, signal);
  const tls = connectTls({
    socket: tcp,
    servername: target.tunnelName,
    ca: target.ca,
    cert: target.certificate,
    key: target.key,
    ALPNProtocols: ["h2"],
    minVersion: target.minVersion ?? "TLSv1.3",
  });
  try {
    await settled(tls, "secureConnect", "tls", stepMs, signal, classifyTls);
  } catch (error) {
    throw await named(error as DialError, target, stepMs, signal);
  }
  if (tls.alpnProtocol !== "h2") {
    // Not within the event: destroying a socket inside `secureConnect` has aborted both runtimes.
    setImmediate(() => tls.destroy());
    throw new DialError(
      "broker_no_http2",
      `Cannot open tunnel: broker answered with "${tls.alpnProtocol || "no"}" protocol`,
      {
        details: { step: "tls" },
      },
    );
  }
  return tls;
}

async function openTcp(
  { address, proxyFor }: DialTarget,
  stepMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  try {
    const proxy = proxyFor?.(address) ?? null;
    if (proxy !== null) return await connectThroughProxy(proxy, address, { stepMs, signal });
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    const { code, message, retryable, details } = error;
    throw new DialError(code, message, { cause: error, retryable, details });
  }
  const tcp = connectTcp({ ...address, noDelay: true, keepAlive: true });
  await settled(
    tcp,
    "connect",
    "connecting",
    stepMs,
    signal,
    (cause, step) => classifyTcp(cause, step, address),
  );
  return tcp;
}

/**
 * Where the server is not trusted: says who its certificate is from, seen over a second connection on which we show no
 * certificate and say nothing.
 */
async function named(
  error: DialError,
  target: DialTarget,
  stepMs: number,
  signal: AbortSignal,
): Promise<DialError> {
  if (error.code !== "broker_untrusted") return error;
  try {
    const tls = connectTls({
      socket: await openTcp(target, stepMs, signal),
      servername: target.tunnelName,
      ALPNProtocols: ["h2"],
      rejectUnauthorized: false,
    });
    await settled(tls, "secureConnect", "tls", stepMs, signal, classifyTls);
    const chain = certificateChain(tls);
    tls.on("error", () => {});
    setImmediate(() => tls.destroy());
    const issuer = issuerOf(chain);
    const details = { ...error.details, issuer };
    if (isBrokerAuthority(chain)) {
      return new DialError(error.code, `${error.message}, but from "${issuer}"`, { cause: error, details });
    }
    return new DialError(
      "tls_intercepted",
      `Cannot trust the server at the broker's address: its certificate is issued by "${issuer}" and not by the authority ` +
        `that this connector trusts: a proxy on the way intercepts TLS (exempt "${target.tunnelName}" and the broker's ` +
        "address from that), or the address is another server's",
      { cause: error, details },
    );
  } catch {
    return error;
  }
}

/** Waits for one event of a socket; an error, its end or the deadline destroys it and throws. */
function settled(
  socket: Socket,
  event: string,
  step: Step,
  stepMs: number,
  signal: AbortSignal,
  classify: (error: NodeJS.ErrnoException, step: Step) => DialError,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: DialError | null): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      socket.off(event, succeeded);
      socket.off("error", failed);
      socket.off("close", closed);
      if (error === null) return resolve();
      socket.on("error", () => {});
      setImmediate(() => socket.destroy());
      reject(error);
    };
    const succeeded = (): void => done(null);
    const failed = (error: NodeJS.ErrnoException): void => done(classify(error, step));
    // Deno tells of the close before the error that caused it: look a moment later.
    const closed = (): void => {
      setImmediate(() =>
        done(
          new DialError("broker_lost", `The broker closed the connection ${DURING[step]}`, {
            retryable: true,
            details: { step },
          }),
        )
      );
    };
    const aborted = (): void =>
      done(new DialError("broker_lost", "Dialling was given up", { details: { step } }));
    const timer = setTimeout(
      () =>
        done(
          new DialError("broker_timeout", `Broker did not answer in ${stepMs} ms ${DURING[step]}`, {
            retryable: true,
            details: { step },
          }),
        ),
      stepMs,
    );
    socket.once(event, succeeded);
    socket.once("error", failed);
    socket.once("close", closed);
    signal.addEventListener("abort", aborted);
    if (signal.aborted) aborted();
  });
}

function classifyTcp(cause: NodeJS.ErrnoException, step: Step, address: HostPort): DialError {
  const unresolvable = cause.code === "ENOTFOUND" || cause.code === "EAI_AGAIN";
  return new DialError(
    unresolvable ? "broker_unresolvable" : "broker_unreachable",
    unresolvable
      ? `Cannot resolve the broker's name "${address.host}": ${cause.code}`
      : `Cannot reach the broker at "${formatHostPort(address)}": ${cause.code ?? cause.message}`,
    { cause, retryable: true, details: { step, reason: cause.code } },
  );
}

const UNTRUSTED = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_SIGNATURE_FAILURE",
  "INVALID_CA",
  "CERT_UNTRUSTED",
]);

/** What tells of the connection, and nothing of TLS on it. */
const BROKEN = new Set(["ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"]);

function classifyTls(cause: NodeJS.ErrnoException, step: Step): DialError {
  const details = { step, reason: cause.code };
  const reason = `${cause.code ?? ""} ${cause.message}`;
  if (cause.code === "ERR_TLS_CERT_ALTNAME_INVALID" || /NotValidForName/i.test(reason)) {
    return new DialError("broker_name_mismatch", "The broker's certificate is for another name", {
      cause,
      details,
    });
  }
  if (
    UNTRUSTED.has(cause.code ?? "") ||
    /UnknownIssuer|invalid peer certificate|unable to (get|verify)|self.signed/i.test(reason)
  ) {
    return new DialError(
      "broker_untrusted",
      "The broker's certificate is not from the CA that this connector trusts",
      { cause, details },
    );
  }
  if (BROKEN.has(cause.code ?? "")) {
    return new DialError("broker_lost", `The connection to the broker broke ${DURING[step]}: ${cause.code}`, {
      cause,
      retryable: true,
      details,
    });
  }
  const noHttp2 = /NO_APPLICATION_PROTOCOL|NoApplicationProtocol/i.test(reason);
  return (noHttp2 ? null : rejection(cause, step)) ??
    new DialError(
      noHttp2 ? "broker_no_http2" : "tls_failed",
      `TLS with the broker failed: ${cause.message}`,
      { cause, details },
    );
}

/** The error for a TLS alert with which the broker refuses our certificate; with TLS 1.3 it comes after the handshake. */
export function rejection(cause: NodeJS.ErrnoException, step: string): DialError | null {
  const reason = `${cause.code ?? ""} ${cause.message}`;
  if (
    !/CERTIFICATE_(REQUIRED|UNKNOWN|EXPIRED|REVOKED)|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|alert (bad )?certificate|alert unknown ca|received fatal alert/i
      .test(reason)
  ) {
    return null;
  }
  return new DialError("certificate_rejected", "The broker does not accept this connector's certificate", {
    cause,
    details: { step, reason: cause.code },
  });
}
