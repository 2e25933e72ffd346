import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { waitForExchange } from "../src/demo/wait_for_exchange.ts";
import { VERSION } from "../src/platform/version.ts";
import { runCommand, tryCommand } from "./command.ts";

const COMMAND_MS = 30_000;
const READY_MS = 30_000;
const STOP_MS = 45_000;

/** The executables to try, by absolute path. `forker` is one that forks itself, which only a guard can end. */
export interface SmokeParts {
  broker: string;
  connector: string;
  forker?: string;
}

/**
 * Tries executables as on a machine that has nothing else: in an empty folder, with no `PATH` and no `node_modules`
 * near. They say their version, a connector registers and serves a request, both stop on SIGTERM with exit code 0.
 */
export async function smokeTest(parts: SmokeParts, say: (line: string) => void): Promise<void> {
  await using things = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "sallyport-smoke-"));
  things.defer(() => rmSync(folder, { recursive: true, force: true }));
  const installed = (path: string, name: string) => {
    const copy = join(folder, name);
    copyFileSync(path, copy);
    chmodSync(copy, 0o755);
    return copy;
  };
  const broker = installed(parts.broker, "broker");
  const connector = installed(parts.connector, "connector");
  // NODE_OPTIONS must mean nothing to a program that happens to carry a Node.
  const env = { PATH: "", HOME: folder, TMPDIR: folder, NODE_OPTIONS: "--require=/nonexistent.js" };
  const options = { cwd: folder, env, timeoutMs: COMMAND_MS };

  say("version and help");
  for (const program of [broker, connector]) {
    assert.equal((await runCommand(program, ["--version"], options)).stdout.trim(), VERSION);
    assert.match((await runCommand(program, ["--help"], options)).stdout, /Usage: sallyport-/);
    assert.equal((await tryCommand(program, ["no-such-command"], options)).code, 2);
  }

  say("register and serve a request");
  const backend = createServer((_request, response) => response.end("from behind\n"));
  await once(backend.listen(0, "127.0.0.1"), "listening");
  things.defer(() => void backend.close());
  const internalUrl = `http://127.0.0.1:${(backend.address() as AddressInfo).port}/`;

  const listen = ["--public-listen", "--plain-listen", "--admin-listen"].flatMap((
    flag,
  ) => [flag, "127.0.0.1:0"]);
  const running = await start(things, broker, ["run", "--data-dir", "data", ...listen, "--json"], {
    cwd: folder,
    env,
  });
  const ready = running.ready as { listeners: { plain: { port: number } }; adminUrl: string };
  const access = ["--data-dir", "data", "--admin-url", ready.adminUrl, "--json"];
  const publicUrl = `http://127.0.0.1:${ready.listeners.plain.port}/`;
  const app = ["--name", "Smoke", "--external-url", publicUrl, "--internal-url", internalUrl, "--enable"];
  await runCommand(broker, ["app", "create", ...access, ...app], options);
  const created = await runCommand(broker, ["token", "create", ...access], options);
  const { token } = JSON.parse(created.stdout) as { token: string };

  const registering = { ...options, env: { ...env, SALLYPORT_TOKEN: token } };
  await runCommand(connector, ["register", "--state-dir", "state", "--json"], registering);
  const serving = await start(things, connector, ["run", "--state-dir", "state", "--json"], {
    cwd: folder,
    env,
  });
  await waitForExchange(publicUrl);
  assert.equal(await (await fetch(publicUrl)).text(), "from behind\n");

  say("stop");
  await serving.stop();
  await running.stop();

  say("a fork of itself");
  for (const program of [broker, connector]) await refusesToBeForked(program, folder, env);
  if (parts.forker !== undefined) {
    const { stdout } = await runCommand(installed(parts.forker, "forker"), [], options);
    assert.equal(stdout, "fork ended 1\n");
  }
}

/** What `child_process.fork` inside of the program would start: itself, with a channel, told who its parent is. */
async function refusesToBeForked(program: string, cwd: string, env: Record<string, string>): Promise<void> {
  const child = spawn(program, ["module.js"], {
    cwd,
    env: { ...env, SALLYPORT_INTERNAL_PARENT_PID: String(process.pid) },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    timeout: COMMAND_MS,
  });
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (part) => text += part);
  const [code] = await once(child, "close");
  assert.equal(code, 1);
  assert.match(text, /as a fork of this program/);
}

interface Running {
  /** The line of JSON that it printed once it was ready. */
  ready: unknown;
  stop(): Promise<void>;
}

async function start(
  things: AsyncDisposableStack,
  program: string,
  args: readonly string[],
  options: { cwd: string; env: Record<string, string> },
): Promise<Running> {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  things.defer(() => void child.kill("SIGKILL"));
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text) => log = (log + text).slice(-10_000));
  try {
    const signal = AbortSignal.timeout(READY_MS);
    const died = once(child, "exit", { signal }).then(([code]) => {
      throw new Error(`exit code ${code}`);
    });
    died.catch(() => {});
    const [line] = await Promise.race([
      once(createInterface({ input: child.stdout }), "line", { signal }),
      died,
    ]);
    return { ready: JSON.parse(line as string), stop: () => stop(program, child) };
  } catch (error) {
    throw new Error(`Cannot start "${program}": not ready\n${log}`, { cause: error });
  }
}

async function stop(program: string, child: ChildProcess): Promise<void> {
  const exit = once(child, "exit", { signal: AbortSignal.timeout(STOP_MS) });
  child.kill("SIGTERM");
  const [code] = await exit;
  assert.equal(code, 0, `"${program}" ended with ${code}`);
}
