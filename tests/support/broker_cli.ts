import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/broker/main.ts", import.meta.url));

/** How a run of the broker's program ended. */
export interface CliOutcome {
  code: number | null;
  stdout: string;
  stderr: string;
  // deno-lint-ignore no-explicit-any -- tests look into output of many shapes
  json: any;
}

/** Runs the broker's program to its end, on the runtime that runs this test, with nothing of Sallyport in its environment. */
export async function brokerCli(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CliOutcome> {
  const runtime = process.versions.deno === undefined ? [] : ["run", "-A", "--no-check"];
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("SALLYPORT_"));
  const child = spawn(process.execPath, [...runtime, MAIN, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...Object.fromEntries(inherited), ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const [code] = await once(child, "close");
  return { code, stdout, stderr, json: parse(args.includes("--json") ? (code === 0 ? stdout : stderr) : "") };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
