import type { BrokerConfiguration } from "../config.ts";
import type { CliContext } from "./context.ts";
import { shellWord } from "./shell_word.ts";

/** Flags that say where the broker's configuration and files are. */
export interface LocationOptions {
  config?: string;
  dataDir?: string;
}

/** The configuration of the broker on this host: file, variables and the given flags. Throws `ConfigurationError`. */
export async function localConfiguration(
  flags: LocationOptions,
  { env }: CliContext,
): Promise<BrokerConfiguration> {
  const { loadConfiguration } = await import("../../platform/configuration.ts");
  const { BROKER_CONFIGURATION } = await import("../config.ts");
  return loadConfiguration(BROKER_CONFIGURATION, { flags: { ...flags }, env });
}

/** The same flags again, each after a blank, for a command that is proposed next. */
export function asLocated({ config, dataDir }: LocationOptions): string {
  return (config === undefined ? "" : ` --config ${shellWord(config)}`) +
    (dataDir === undefined ? "" : ` --data-dir ${shellWord(dataDir)}`);
}

/** Flags of `run` and `config check`: made from the specification, which is only read when they are asked for. */
export async function addBrokerOptions(command: import("commander").Command): Promise<void> {
  const { addConfigurationOptions } = await import("../../platform/configuration.ts");
  const { BROKER_CONFIGURATION } = await import("../config.ts");
  addConfigurationOptions(command, BROKER_CONFIGURATION);
}
