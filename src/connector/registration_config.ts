import { type ConfigurationValues, defineConfiguration, variableName } from "../platform/configuration.ts";
import { bool, integer, secretText } from "../platform/configuration_value.ts";
import { Secret } from "../platform/secret.ts";
import { CONNECTOR_CONFIGURATION, type ConnectorConfiguration } from "./config.ts";

const SHARED = [
  "stateDir",
  "tokenFile",
  "machineName",
  "caFingerprint",
  "keyType",
  "fips",
  "proxy",
  "proxyCredentialsFile",
  "proxyCaFile",
] as const;

/**
 * Everything that `register` can be told, in flags, variables or an answer file (YAML); what they leave open is as the
 * connector's configuration says. The token itself has no flag: every user of the host could read it there.
 */
export function registrationConfiguration(base: ConnectorConfiguration) {
  const { keys, otherVariables } = CONNECTOR_CONFIGURATION;
  const shared = Object.fromEntries(
    SHARED.map((name) => [name, { ...keys[name], default: base[name] }]),
  ) as unknown as Pick<typeof keys, (typeof SHARED)[number]>;
  return defineConfiguration({
    program: "sallyport-connector register",
    otherVariables: [...otherVariables, ...Object.keys(keys).map(variableName)],
    keys: {
      ...shared,
      token: { type: secretText(), default: new Secret(""), describe: "The enrolment token itself" },
      force: { type: bool(), default: false, describe: "Replace the identity that is there" },
      stepTimeoutMs: {
        type: integer(100, 600_000),
        default: 10_000,
        describe: "Time for each step: connect, TLS, answer",
      },
    },
  });
}

/** What `register` was told, checked. */
export type RegistrationConfiguration = ConfigurationValues<
  ReturnType<typeof registrationConfiguration>["keys"]
>;
