import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { BenchError } from "../errors.ts";

/** A call to a worker, and its answer. */
export interface Call {
  id: number;
  job: string;
  options: unknown;
}
export interface Answer {
  id: number;
  result?: unknown;
  error?: string;
}

/** A script of the benchmark in a process of its own, so that its work is not counted with anybody else's. */
export class Worker {
  readonly pid: number;
  #child: ChildProcess;
  #calls = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #last = 0;

  constructor(script: string, execArgv: readonly string[] = []) {
    this.#child = fork(fileURLToPath(new URL(`../${script}`, import.meta.url)), { execArgv: [...execArgv] });
    this.pid = this.#child.pid!;
    this.#child.on("message", (message) => this.#answered(message as Answer));
    this.#child.once("exit", (code, signal) => {
      const error = new BenchError(`Cannot go on: "${script}" ended with ${signal ?? `exit code ${code}`}`);
      for (const call of this.#calls.values()) call.reject(error);
      this.#calls.clear();
    });
  }

  /** Runs a job in the worker. Rejects when the job fails, after `timeoutMs` milliseconds, or when the worker ends. */
  call<Result>(job: string, options: unknown = {}, timeoutMs = 120_000): Promise<Result> {
    const id = ++this.#last;
    const answer = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      answer.reject(new BenchError(`Cannot finish "${job}": no result after ${timeoutMs / 1000} s`));
    }, timeoutMs);
    this.#calls.set(id, answer);
    this.#child.send({ id, job, options } satisfies Call);
    return answer.promise.finally(() => {
      clearTimeout(timer);
      this.#calls.delete(id);
    }) as Promise<Result>;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  #answered({ id, result, error }: Answer): void {
    const call = this.#calls.get(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new BenchError(error));
  }
}
