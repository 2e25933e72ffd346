import process from "node:process";
import type { Call } from "./worker.ts";

/** What a worker can do, by name. */
// deno-lint-ignore no-explicit-any
export type Jobs = Readonly<Record<string, (options: any) => unknown>>;

/** The worker's side of {@linkcode Worker}: answers calls until the parent is gone, then ends. */
export function serveCalls(jobs: Jobs): void {
  process.on("message", async ({ id, job, options }: Call) => {
    try {
      process.send!({ id, result: await jobs[job](options) });
    } catch (error) {
      process.send!({ id, error: `Cannot ${job}: ${error instanceof Error ? error.message : error}` });
    }
  });
  process.once("disconnect", () => process.exit(0));
}
