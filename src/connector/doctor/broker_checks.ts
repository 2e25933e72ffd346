import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { ENROL_HELLO_PATH, parseEnrolmentHello } from "../../protocol/enrolment.ts";
import { formatHostPort } from "../../protocol/address.ts";
import { callBroker } from "../identity/broker_call.ts";
import { checkClock } from "../identity/broker_clock.ts";
import { close, connectEnrolment, type EnrolmentTarget } from "../identity/enrolment_socket.ts";
import { RegistrationError } from "../identity/errors.ts";
import type { Identity } from "../identity/identity.ts";
import { describeProxy, type ProxyFor } from "../outbound/proxy.ts";
import { connectThroughProxy } from "../outbound/proxy_socket.ts";
import type { Finding } from "./check.ts";

/** How the checks reach the broker. */
export interface BrokerWay {
  identity: Identity;
  proxyFor: ProxyFor;
  /** Milliseconds for each step. */
  stepMs: number;
  signal: AbortSignal;
}

/** The broker's name, as this host resolves it. Throws `RegistrationError` `broker_unresolvable`. */
export async function checkName({ identity: { address }, proxyFor }: BrokerWay): Promise<Finding> {
  if (isIP(address.host) !== 0) return `"${address.host}" is an address`;
  if (proxyFor(address) !== null) return { status: "skipped", found: "the proxy resolves the name" };
  try {
    const found = await lookup(address.host, { all: true });
    return found.map((each) => each.address).join(", ");
  } catch (cause) {
    const message = `Cannot resolve the broker's name "${address.host}": ${(cause as Error).message}`;
    throw new RegistrationError("broker_unresolvable", message, { cause, retryable: true });
  }
}

/** The proxy on the way, and whether it lets us through. Throws `ProxyError`. */
export async function checkProxy(
  { identity: { address }, proxyFor, stepMs, signal }: BrokerWay,
): Promise<Finding> {
  const proxy = proxyFor(address);
  if (proxy === null) return { status: "skipped", found: "none on the way to the broker" };
  close(await connectThroughProxy(proxy, address, { stepMs, signal }));
  const who = proxy.credentials === null ? "" : ", with credentials";
  return `${describeProxy(proxy)} (from ${proxy.source})${who}, connects to ${formatHostPort(address)}`;
}

/** Is it our broker that answers? Throws `RegistrationError`. */
export async function checkBroker(way: BrokerWay): Promise<Finding> {
  const socket = await connectEnrolment(target(way));
  const from = socket.remoteAddress ?? "";
  const version = socket.getProtocol() ?? "TLS";
  close(socket);
  return `${
    formatHostPort(way.identity.address)
  } (${from}) speaks ${version}, certificate in order for "${way.identity.enrolName}"`;
}

/** Does this host's clock agree with the broker's? Throws `RegistrationError` `clock_wrong`. */
export async function checkBrokerClock(way: BrokerWay): Promise<Finding> {
  const { time } = await callBroker(target(way), ENROL_HELLO_PATH, null, parseEnrolmentHello);
  checkClock(time);
  return `differs by ${Math.abs(Date.now() - time)} ms from the broker's`;
}

function target({ identity, proxyFor, stepMs, signal }: BrokerWay): EnrolmentTarget {
  const { address, enrolName, ca } = identity;
  return { address, enrolName, trust: { ca }, stepMs, signal, proxyFor };
}
