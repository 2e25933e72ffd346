import { SallyportError } from "./error.ts";

/** Codes of `ConfigurationError` and of the problems it lists. */
export const CONFIGURATION_CODES = [
  "configuration_file_unreadable",
  "configuration_file_invalid",
  "configuration_key_unknown",
  "configuration_variable_unknown",
  "configuration_value_invalid",
] as const;

/** One of `CONFIGURATION_CODES`. */
export type ConfigurationCode = (typeof CONFIGURATION_CODES)[number];

/** One thing that is wrong with a configuration, with where it came from (a file, a flag, a variable). */
export interface ConfigurationProblem {
  code: ConfigurationCode;
  source: string;
  message: string;
}

/** A configuration that cannot be used: every problem found, not only the first. Programs exit 2 on it. */
export class ConfigurationError extends SallyportError<ConfigurationCode> {
  readonly problems: readonly ConfigurationProblem[];

  constructor(problems: readonly [ConfigurationProblem, ...ConfigurationProblem[]], cause?: unknown) {
    const lines = problems.map(({ source, message }) => `${source}: ${message}`);
    const message = lines.length === 1
      ? `Cannot use configuration: ${lines[0]}`
      : `Cannot use configuration: ${lines.length} problems\n${
        lines.map((line) => `  - ${line}`).join("\n")
      }`;
    super(problems[0].code, message, { cause, details: { problems } });
    this.problems = problems;
  }
}
