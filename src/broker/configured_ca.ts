import type { Environment } from "../platform/configuration.ts";
import { type Ca, type CaOptions, openCa } from "./ca/ca.ts";
import { readCaKey } from "./ca/ca_key.ts";
import { mayCreateAuthority } from "./ca/may_create.ts";
import type { BrokerConfiguration } from "./config.ts";
import type { Store } from "./store/port.ts";

/** The certificate authority as configured, wherever it is. Throws as `openCa` does. */
export async function openConfiguredCa(
  config: BrokerConfiguration,
  env: Environment,
  store: Store,
  { isClockTrusted, log }: Required<Pick<CaOptions, "isClockTrusted" | "log">>,
): Promise<Ca> {
  return await openCa(config.dataDir, {
    names: [config.tunnelName, config.enrolName],
    connectorCertificateMs: config.connectorCertificateMs,
    key: await readCaKey(config.caKeyFile, env),
    overlapMs: config.caOverlapMs,
    checkIntervalMs: config.caCheckIntervalMs,
    mayCreate: () => mayCreateAuthority(store),
    isClockTrusted,
    ...(config.caSignCommand.length === 0 ? {} : {
      external: {
        command: config.caSignCommand,
        certificates: config.caCertificatesFile,
        timeoutMs: config.caSignTimeoutMs,
      },
    }),
    log,
  });
}
