/** Where a command writes: results to standard output, everything else to standard error. */
export interface Output {
  /** True: results and errors as one line of JSON each. */
  json: boolean;
  /** A result: `text` for people, `value` for scripts. */
  result(text: string, value: unknown): void;
  /** A failure, with its code. */
  failure(error: unknown): void;
}

/** Writes to the two streams of the process. */
export function createOutput(
  json: boolean,
  stdout: NodeJS.WritableStream,
  stderr: NodeJS.WritableStream,
): Output {
  return {
    json,
    result: (text, value) => void stdout.write((json ? JSON.stringify(value) : text) + "\n"),
    failure: (error) => {
      const { code, message, details } = describe(error);
      stderr.write(
        json ? JSON.stringify({ error: { code, message, details } }) + "\n" : `Error: ${message} (${code})\n`,
      );
    },
  };
}

/** Errors of every layer have a code; others are faults of this program. */
function describe(error: unknown): { code: string; message: string; details: unknown } {
  if (!(error instanceof Error)) return { code: "internal_error", message: String(error), details: {} };
  const { code, details = {} } = error as { code?: unknown; details?: unknown };
  const known = typeof code === "string" && /^[a-z][a-z0-9_]*$/.test(code);
  return known
    ? { code, message: error.message, details }
    : { code: "internal_error", message: error.stack ?? error.message, details: {} };
}

/**
 * Writes a nested value as aligned lines, `name  value`, nested names joined with a dot; fractions to a
 * tenth.
 */
export function formatTable(value: Readonly<Record<string, unknown>>): string {
  const rows = [...flatten("", value)];
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}`.trimEnd()).join("\n");
}

function* flatten(prefix: string, value: unknown): Generator<[string, string]> {
  if (typeof value !== "object" || value === null) {
    yield [prefix, inWords(value)];
    return;
  }
  const entries = Object.entries(value);
  if (entries.length === 0 && prefix !== "") yield [prefix, "-"];
  for (const [name, member] of entries) yield* flatten(prefix === "" ? name : `${prefix}.${name}`, member);
}

function inWords(value: unknown): string {
  if (value === null || value === undefined || value === "") return "-";
  if (typeof value !== "number" || value === 0) return String(value);
  return String(Math.round(value * 10) / 10);
}
