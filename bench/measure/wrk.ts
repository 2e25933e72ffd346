import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BenchError } from "../errors.ts";

/** How hard wrk is to press. */
export interface WrkOptions {
  url: string;
  /** Keep-alive connections, each with one request at a time. */
  clients: number;
  seconds: number;
  /** Where it runs; everywhere by default. */
  cpu?: number | null;
}

/** What wrk saw. */
export interface WrkResult {
  requests: number;
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

const SCRIPT = fileURLToPath(new URL("./wrk.lua", import.meta.url));

/** One run of wrk, one thread. Any failed request fails the benchmark: figures of errors are worth nothing. */
export async function wrk({ url, clients, seconds, cpu = null }: WrkOptions): Promise<WrkResult> {
  const place = cpu === null ? [] : ["taskset", "-c", String(cpu)];
  const args = ["-t1", `-c${clients}`, `-d${seconds}s`, "--timeout", "10s", "-s", SCRIPT, url];
  const [program, ...rest] = [...place, "wrk", ...args];
  const { stdout } = await promisify(execFile)(program!, rest, { timeout: (seconds + 30) * 1000 });
  const said = JSON.parse(stdout.slice(stdout.lastIndexOf("\n{") + 1));
  if (said.requests === 0 || said.socketErrors > 0 || said.statusErrors > 0 || said.timeouts > 0) {
    throw new BenchError(
      `Cannot trust the load on "${url}": of ${said.requests} requests ${said.statusErrors} had another status than ` +
        `2xx, ${said.timeouts} no answer in time; ${said.socketErrors} socket errors`,
    );
  }
  return {
    requests: said.requests,
    requestsPerSecond: said.requests / said.micros * 1e6,
    p50Ms: said.p50 / 1000,
    p99Ms: said.p99 / 1000,
  };
}
