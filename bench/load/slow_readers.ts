import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Clients that ask for a large response and read it one piece a second. */
export interface SlowReaderOptions {
  url: string;
  clients: number;
  /** Bytes each client reads a second. */
  bytesPerSecond: number;
}

const SCRIPT = fileURLToPath(new URL("slow_readers.pl", import.meta.url));

interface Running {
  child: ChildProcess;
  lines: AsyncIterator<string>;
  /** How it has ended, in words. */
  ended: Promise<string>;
}

let running: Running | null = null;

/**
 * Starts the clients, in a process that ends with this one; resolves when each has its first bytes, with the milliseconds
 * that took for each. They go on until `stopSlowReaders`.
 */
export async function slowReaders({ url, clients, bytesPerSecond }: SlowReaderOptions): Promise<number[]> {
  const { hostname, port, pathname } = new URL(url);
  const args = [SCRIPT, hostname, port, pathname, clients, bytesPerSecond].map(String);
  const child = spawn("perl", args, { stdio: ["pipe", "pipe", "inherit"] });
  const failed = once(child, "error").then(([error]) => Promise.reject(error));
  const ended = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  // Who has ended takes no end any more; `ended` says how.
  child.stdin.on("error", () => {});
  running = { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator](), ended };
  return JSON.parse(await Promise.race([nextLine(running), failed]));
}

/** Stops the clients; how many had lost their connection before. */
export async function stopSlowReaders(): Promise<number> {
  if (running === null) return 0;
  const stopped = running;
  running = null;
  stopped.child.stdin!.end();
  return Number(await nextLine(stopped));
}

async function nextLine({ lines, ended }: Running): Promise<string> {
  const { done, value } = await lines.next();
  if (done === true) throw new Error(`The slow readers have ended: ${await ended}`);
  return value;
}
