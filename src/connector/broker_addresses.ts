import { formatHostPort, type HostPort, parseHostPort } from "../protocol/address.ts";
import type { ConnectorConfiguration } from "./config.ts";

/** Most addresses of a broker that a connector takes. */
const MOST = 8;

type Configured = Pick<ConnectorConfiguration, "brokerAddresses">;

/** Where a tunnel leads: a configured address, or else (undefined) the one that the identity in use has from its enrolment. */
export type BrokerAddress = HostPort | undefined;

/** Where tunnels lead, in turn; at least one. */
export function brokerAddresses({ brokerAddresses }: Configured): readonly BrokerAddress[] {
  if (brokerAddresses.length === 0) return [undefined];
  return brokerAddresses.map((text) => parseHostPort(text)!); // Checked with the configuration.
}

/** The addresses as `status` and logs show them. */
export function describeAddresses(addresses: readonly BrokerAddress[], enrolled: HostPort): string {
  return addresses.map((address) => formatHostPort(address ?? enrolled)).join(", ");
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
