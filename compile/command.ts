import { spawn, type SpawnOptions } from "node:child_process";

/** What a finished command left. */
export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end and collects its output; killed after `timeoutMs`. Throws unless it ends with 0. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { timeoutMs: number },
): Promise<CommandResult> {
  const result = await tryCommand(command, args, options);
  if (result.code !== 0) {
    throw new Error(
      `Cannot run "${command} ${args.join(" ")}": exit code ${result.code}\n${result.stdout}${result.stderr}`,
    );
  }
  return result;
}

/** As `runCommand`, but any exit code is a result; null when the command was killed or could not start. */
export function tryCommand(
  command: string,
  args: readonly string[],
  { timeoutMs, ...options }: SpawnOptions & { timeoutMs: number },
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    const result: CommandResult = { code: null, stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text) => result.stdout += text);
    child.stderr?.setEncoding("utf8").on("data", (text) => result.stderr += text);
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ ...result, stderr: error.message });
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ ...result, code });
    });
  });
}
