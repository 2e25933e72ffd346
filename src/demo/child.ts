import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { DemoError } from "./errors.ts";

/** How a process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** What to start. */
export interface ChildOptions {
  /** For messages, e.g. `broker`. */
  name: string;
  command: string;
  args: readonly string[];
  /** Added to this process's own environment. */
  env?: Readonly<Record<string, string>>;
  /** Sees each line of standard error, as it comes. */
  onLog?: (line: string) => void;
  /** Descriptors of ours that it gets as 3, 4 and so on. */
  descriptors?: readonly number[];
}

/** How many log lines of a child are kept to explain its death, and how much of each. */
const KEPT_LINES = 20;
const KEPT_COLUMNS = 2_000;

/** How long a child may take to stop when asked before it is killed, in milliseconds. */
const STOP_MS = 10_000;

/** Children now running: none may outlive this process. */
const living = new Set<ChildProcess>();

function killLiving(): void {
  for (const child of living) child.kill("SIGKILL");
}

/**
 * A program of ours in a process of its own. It sees our end through its standard input (see `parent_watch.ts`), is in
 * a process group of its own so that a Ctrl-C reaches only us, and is killed should we exit while it runs.
 */
export class Child {
  readonly name: string;
  readonly pid: number;
  /** Settles when the process has ended; never rejects. */
  readonly exited: Promise<Exit>;
  #exit: Exit | null = null;
  #log: string[] = [];
  #output: string[] = [];
  #firstLine: Promise<string>;

  private constructor(name: string, child: ChildProcess, onLog?: (line: string) => void) {
    this.name = name;
    this.pid = child.pid!;
    this.exited = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        living.delete(child);
        resolve(this.#exit = { code, signal });
      });
    });
    createInterface({ input: child.stderr! }).on("line", (line) => {
      keep(this.#log, line);
      onLog?.(line);
    });
    const output = createInterface({ input: child.stdout! });
    output.on("line", (line) => keep(this.#output, line));
    this.#firstLine = once(output, "line").then(([line]) => String(line));
    this.#firstLine.catch(() => {});
    // A child that dies early makes this pipe fail; its exit is what tells.
    child.stdin!.on("error", () => {});
  }

  /** Starts the process. Rejects when it cannot be started at all. */
  static async start(options: ChildOptions): Promise<Child> {
    const child = spawn(options.command, options.args, {
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe", ...(options.descriptors ?? [])],
      detached: true,
    });
    if (!process.listeners("exit").includes(killLiving)) process.on("exit", killLiving);
    const started = new Child(options.name, child, options.onLog);
    await once(child, "spawn");
    if (started.#exit === null) living.add(child);
    return started;
  }

  /** How it ended, or null while it runs. */
  get exit(): Exit | null {
    return this.#exit;
  }

  /** The last lines it wrote to standard error, oldest first. */
  get lastLog(): readonly string[] {
    return this.#log;
  }

  /** The last lines it wrote to standard output, oldest first. */
  get lastOutput(): readonly string[] {
    return this.#output;
  }

  /** The first line on standard output as JSON: how a program of ours says that it is ready. `signal` ends the wait. */
  async ready(timeoutMs: number, signal?: AbortSignal): Promise<unknown> {
    const given = new AbortController();
    try {
      const line = await Promise.race([
        this.#firstLine,
        this.exited.then(() => {
          throw this.died(`while starting`);
        }),
        delay(timeoutMs, undefined, { signal: either(given.signal, signal) }).then(() => {
          throw new DemoError(
            "demo_program_silent",
            this.#tell(`Cannot start ${this.name}: not ready after ${timeoutMs} ms`),
          );
        }),
      ]);
      return parseLine(this.name, line);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      given.abort();
    }
  }

  /** The error that says that it ended unasked, with its last log lines. */
  died(when: string): DemoError {
    const how = this.#exit?.signal ?? `exit code ${this.#exit?.code}`;
    return new DemoError("demo_program_exited", this.#tell(`The ${this.name} ended ${when}: ${how}`), {
      details: { name: this.name, pid: this.pid, ...this.#exit },
    });
  }

  /**
   * Sends a signal, if it still runs. Not by `ChildProcess.kill`: on Deno a process that was sent a signal so, and then
   * ended with an exit code, counts as killed by it.
   */
  signal(signal: NodeJS.Signals): void {
    if (this.#exit !== null) return;
    try {
      process.kill(this.pid, signal);
    } catch (error) {
      // It has just ended by itself: its `close` is on the way.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }

  /** Asks it to stop, kills it after `graceMs` milliseconds, and waits for its end. Any number of calls. */
  async stop(graceMs: number = STOP_MS): Promise<Exit> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  #tell(message: string): string {
    return this.#log.length === 0 ? message : `${message}. Its last log lines:\n  ${this.#log.join("\n  ")}`;
  }
}

function either(own: AbortSignal, given?: AbortSignal): AbortSignal {
  return given === undefined ? own : AbortSignal.any([own, given]);
}

function keep(lines: string[], line: string): void {
  lines.push(line.slice(0, KEPT_COLUMNS));
  if (lines.length > KEPT_LINES) lines.shift();
}

function parseLine(name: string, line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new DemoError("demo_program_silent", `Cannot start ${name}: it said "${line}" instead of JSON`, {
      cause,
    });
  }
}
