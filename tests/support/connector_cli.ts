import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/connector/main.ts", import.meta.url));

/** How a run of the connector's program ended. */
export interface ConnectorOutcome {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Code of the error that `--json` prints. */
  error: string | undefined;
  /** Its details. */
  details: Record<string, unknown>;
}

/** What else a run gets. */
export interface ConnectorRun {
  /** Standard input. */
  input?: string;
  env?: Record<string, string>;
  /** Sees the process while it runs. */
  onStart?: (child: ChildProcess) => void;
}

/** Runs the connector's program to its end, on the runtime that runs this test, with nothing of Sallyport in its environment. */
export async function connectorCli(
  args: readonly string[],
  { input = "", env = {}, onStart }: ConnectorRun = {},
): Promise<ConnectorOutcome> {
  const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("SALLYPORT_"));
  const child = spawn(process.execPath, [...runtime, MAIN, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...Object.fromEntries(inherited), ...env },
  });
  onStart?.(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  child.stdin.on("error", () => {}).end(input);
  const [code] = await once(child, "close");
  const line = stderr.split("\n").find((text) => text.startsWith('{"error"'));
  const { error } = line === undefined ? { error: undefined } : JSON.parse(line);
  return { code, stdout, stderr, error: error?.code, details: error?.details ?? {} };
}
