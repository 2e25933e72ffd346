import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { LineCounter, parse, YAMLParseError } from "yaml";
import type { ValueType } from "./configuration_value.ts";
import { ConfigurationError, type ConfigurationProblem } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** Environment variables, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One configuration key: camelCase name with its unit is the property's name. */
export interface ConfigurationKey<T> {
  type: ValueType<T>;
  /** The value where nothing says otherwise; a function where it depends on the machine. */
  default: T | ((env: Environment) => T);
  /** What documentation says of a default that is a function. */
  defaultText?: string;
  /** One sentence for `--help` and the documentation. */
  describe: string;
  example?: string;
}

// deno-lint-ignore no-explicit-any
type AnyKeys = Readonly<Record<string, ConfigurationKey<any>>>;

/** The values that a set of keys gives. */
export type ConfigurationValues<Keys extends AnyKeys> = {
  readonly [Name in keyof Keys]: Keys[Name] extends { type: ValueType<infer T> } ? T : never;
};

/** The one place that says what a program can be told: file, flags, variables and documentation all follow it. */
export interface ConfigurationNames<Keys extends AnyKeys = AnyKeys> {
  /** Name of the program, for messages. */
  program: string;
  keys: Keys;
  /** `SALLYPORT_...` variables that mean something else to this program or to its sibling. */
  otherVariables: readonly string[];
}

/** Names, and what no single key can tell. */
export interface ConfigurationSpec<Keys extends AnyKeys> extends ConfigurationNames<Keys> {
  /** A message for each contradiction, e.g. "pingIntervalMs must be less than tunnelTimeoutMs". */
  check?: (values: ConfigurationValues<Keys>) => readonly string[];
}

/** Where values come from; flags are commander's `opts()` and win over variables, which win over the file. */
export interface ConfigurationSources {
  /** A YAML file; `flags.config` and `SALLYPORT_CONFIG` name one as well and win. */
  file?: string;
  flags: Readonly<Record<string, unknown>>;
  env: Environment;
}

/** What documentation says of one key. */
export interface ConfigurationKeyDescription {
  key: string;
  flag: string;
  variable: string;
  type: string;
  default: string;
  describe: string;
  example: string | null;
}

const PREFIX = "SALLYPORT_";
const FILE_VARIABLE = "SALLYPORT_CONFIG";
/** Variables that steer tests, benchmarks and the demo: never configuration. */
const TOOL_VARIABLE = /^SALLYPORT_(TEST|BENCH|DEMO|INTERNAL)_/;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Keeps the types of the keys; does nothing else. */
export function defineConfiguration<Keys extends AnyKeys>(
  spec: ConfigurationSpec<Keys>,
): ConfigurationSpec<Keys> {
  return spec;
}

/** `tunnelTlsMinVersion` to `--tunnel-tls-min-version`. */
export function flagName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `tunnelTlsMinVersion` to `SALLYPORT_TUNNEL_TLS_MIN_VERSION`. */
export function variableName(key: string): string {
  return PREFIX + key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

/** Adds `--config` and one option for each key; values stay text until `loadConfiguration`. */
export function addConfigurationOptions(command: Command, spec: ConfigurationNames): Command {
  command.option("--config <file>", `configuration file, YAML (${FILE_VARIABLE})`);
  for (const [key, { type, describe, default: fallback, defaultText }] of Object.entries(spec.keys)) {
    const flag = flagName(key);
    const hint = `${describe} (${variableName(key)}; default ${defaultText ?? inWords(fallback)})`;
    if (type.flag === "bare") {
      command.option(flag, hint);
      command.addOption(command.createOption(`--no-${flag.slice(2)}`, "").hideHelp());
      continue;
    }
    const option = command.createOption(`${flag} <value>`, hint);
    if (type.flag === "repeated") {
      option.argParser((value: string, before: string | undefined) =>
        before === undefined ? value : `${before},${value}`
      );
    }
    command.addOption(option);
  }
  return command;
}

/** Reads, checks and joins all sources. Throws `ConfigurationError` with every problem found. */
export function loadConfiguration<Keys extends AnyKeys>(
  spec: ConfigurationSpec<Keys>,
  { file, flags, env }: ConfigurationSources,
): ConfigurationValues<Keys> {
  const problems: ConfigurationProblem[] = [];
  // Empty is what a unit file or a container says for none.
  const path = typeof flags.config === "string" ? flags.config : (env[FILE_VARIABLE] || file);
  const fromFile = path === undefined ? {} : readFile(path, spec, problems);
  refuseUnknownVariables(spec, env, problems);

  const values: Record<string, unknown> = {};
  for (const [key, { type, default: fallback }] of Object.entries(spec.keys)) {
    const variable = variableName(key);
    const flag = flags[key];
    const set = env[variable];
    if (flag !== undefined) {
      values[key] = check(
        type,
        typeof flag === "string" ? type.fromText(flag) : flag,
        flagName(key),
        problems,
      );
    } else if (set !== undefined) {
      values[key] = check(type, type.fromText(set), variable, problems);
    } else if (Object.hasOwn(fromFile, key)) {
      values[key] = check(type, fromFile[key], `${path}, key "${key}"`, problems);
    } else {
      values[key] = typeof fallback === "function" ? fallback(env) : fallback;
    }
  }

  if (problems.length === 0) {
    for (const message of spec.check?.(values as ConfigurationValues<Keys>) ?? []) {
      problems.push({ code: "configuration_value_invalid", source: spec.program, message });
    }
  }
  const [first, ...more] = problems;
  if (first !== undefined) throw new ConfigurationError([first, ...more]);
  return Object.freeze(values) as ConfigurationValues<Keys>;
}

/** One entry for each key, in order, for the documentation. */
export function describeConfiguration(spec: ConfigurationNames): ConfigurationKeyDescription[] {
  return Object.entries(spec.keys).map((
    [key, { type, default: fallback, defaultText, describe, example }],
  ) => ({
    key,
    flag: type.flag === "bare" ? `${flagName(key)}, --no-${flagName(key).slice(2)}` : flagName(key),
    variable: variableName(key),
    type: type.name,
    default: defaultText ?? inWords(fallback),
    describe,
    example: example ?? null,
  }));
}

function inWords(value: unknown): string {
  if (value === "" || (Array.isArray(value) && value.length === 0)) return "empty";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function check<T>(
  type: ValueType<T>,
  given: unknown,
  source: string,
  problems: ConfigurationProblem[],
): T | undefined {
  const result = type.schema.safeParse(given);
  if (result.success) return result.data;
  // What the schema says of the whole value, the type's name says already, unless it is in our own words.
  const reasons = result.error.issues.filter(({ path, code }) => path.length > 0 || code === "custom")
    .map(({ path, message }) => path.length === 0 ? message : `${path.join(".")}: ${message}`);
  const shown = type.masked ? "a value (not shown)" : (JSON.stringify(given) ?? String(given)).slice(0, 200);
  problems.push({
    code: "configuration_value_invalid",
    source,
    message: `expected ${type.name}, got ${shown}${reasons.length === 0 ? "" : `: ${reasons.join("; ")}`}`,
  });
  return undefined;
}

function readFile(
  path: string,
  spec: ConfigurationNames,
  problems: ConfigurationProblem[],
): Record<string, unknown> {
  const source = path;
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    problems.push({ code: "configuration_file_unreadable", source, message: `cannot be read: ${reason}` });
    return {};
  }
  const invalid = (message: string) => {
    problems.push({ code: "configuration_file_invalid", source, message });
    return {};
  };
  if (content.length > MAX_FILE_BYTES) return invalid(`is larger than ${MAX_FILE_BYTES} bytes`);
  let document: unknown;
  try {
    // Neither the parser's messages nor its warnings: they show lines of the file, and so secrets.
    document = parse(content, { prettyErrors: false, logLevel: "error" });
  } catch (error) {
    return invalid(`is not YAML${placeOf(error, content)}`);
  }
  if (document === null || document === undefined) return {};
  if (typeof document !== "object" || Array.isArray(document)) {
    return invalid("must be a list of `key: value` lines");
  }
  for (const key of Object.keys(document)) {
    if (Object.hasOwn(spec.keys, key)) continue;
    const message = `key "${key}" is not known to ${spec.program}${suggestion(key, Object.keys(spec.keys))}`;
    problems.push({ code: "configuration_key_unknown", source, message });
  }
  return document as Record<string, unknown>;
}

/** Where the YAML went wrong, and by which rule. */
function placeOf(error: unknown, content: string): string {
  if (!(error instanceof YAMLParseError)) return ": an alias is wrong";
  const counter = new LineCounter();
  counter.addNewLine(0);
  for (let at = content.indexOf("\n"); at >= 0; at = content.indexOf("\n", at + 1)) {
    counter.addNewLine(at + 1);
  }
  const { line, col } = counter.linePos(error.pos[0]);
  return `: line ${line}, column ${col} (${error.code})`;
}

function refuseUnknownVariables(
  spec: ConfigurationNames,
  env: Environment,
  problems: ConfigurationProblem[],
): void {
  const own = Object.keys(spec.keys).map(variableName);
  const known = new Set([...own, ...spec.otherVariables, FILE_VARIABLE]);
  for (const name of Object.keys(env)) {
    if (!name.startsWith(PREFIX) || known.has(name) || TOOL_VARIABLE.test(name)) continue;
    problems.push({
      code: "configuration_variable_unknown",
      source: "environment",
      message: `variable "${name}" is not known to ${spec.program}${suggestion(name, own)}`,
    });
  }
}

function suggestion(name: string, candidates: readonly string[]): string {
  const near = nearest(name, candidates);
  return near === null ? "" : `; did you mean "${near}"?`;
}
