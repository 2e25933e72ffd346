import type { Readable } from "node:stream";
import type { Environment } from "../../platform/configuration.ts";

/** What the commands have of the process they run in. */
export interface CliContext {
  env: Environment;
  stdin: Readable;
  stdout: NodeJS.WritableStream;
  stderr: NodeJS.WritableStream;
  /** Aborted when the process is asked to stop. */
  signal: AbortSignal;
}
