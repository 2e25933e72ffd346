import { formatHostPort, type HostPort, parseHostPort } from "../protocol/address.ts";
import type { ConnectorConfiguration } from "./config.ts";

/** Most addresses of a broker that a connector takes. */
const MOST = 8;

type Configured = Pick<ConnectorConfiguration, "brokerAddresses">;

/** Where tunnels lead, in turn: the addresses that are configured, or else the one that enrolment told. */
export function brokerAddresses(
  { brokerAddresses }: Configured,
  enrolled: HostPort,
): readonly [HostPort, ...HostPort[]] {
  const [first, ...rest] = brokerAddresses.map((text) => parseHostPort(text)!); // Checked with the configuration.
  return first === undefined ? [enrolled] : [first, ...rest];
}

/** The addresses as `status` and logs show them. */
export function describeAddresses(addresses: readonly HostPort[]): string {
  return addresses.map(formatHostPort).join(", ");
}

/** What is wrong with the addresses of a configuration, a sentence each. */
export function problemsOfAddresses(addresses: readonly string[]): string[] {
  const problems = addresses.filter((text) => parseHostPort(text) === null)
    .map((text) => `brokerAddresses: "${text}" is not host:port`);
  if (addresses.length > MOST) {
    problems.push(`brokerAddresses has ${addresses.length} addresses, at most ${MOST}`);
  }
  return problems;
}
