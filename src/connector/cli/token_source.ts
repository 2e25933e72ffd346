import { readFile } from "node:fs/promises";
import { addAbortSignal, type Readable } from "node:stream";
import { Secret } from "../../platform/secret.ts";
import { RegistrationError } from "../identity/errors.ts";
import { UsageError } from "./errors.ts";

/** More bytes than any token has, with room for white space. */
const MAX_BYTES = 16_384;

/** Where a token may come from. */
export interface TokenSources {
  /** `--token-file` or `SALLYPORT_TOKEN_FILE`: a path, or `-` for standard input. */
  file: string | undefined;
  /** `SALLYPORT_TOKEN`. */
  variable: string | undefined;
  stdin: Readable;
  /** Ends the wait for standard input. */
  signal: AbortSignal;
}

/**
 * Reads the enrolment token; never from an argument, which every user of the host could see in the list of processes.
 * Throws `token_missing`, `token_unreadable`, and `registration_aborted` when the signal came first.
 */
export async function readToken({ file, variable, stdin, signal }: TokenSources): Promise<Secret> {
  const text = file === undefined ? variable : await readSource(file, stdin, signal);
  if (text === undefined) {
    throw new UsageError(
      "token_missing",
      "Cannot register without a token: give --token-file FILE, --token-file - (standard input) or SALLYPORT_TOKEN",
    );
  }
  if (text.trim() === "") throw new UsageError("token_missing", "Cannot register: the token given is empty");
  return new Secret(text);
}

async function readSource(file: string, stdin: Readable, signal: AbortSignal): Promise<string> {
  try {
    return file === "-"
      ? await readStream(addAbortSignal(signal, stdin))
      : await readFile(file, { encoding: "utf8", signal });
  } catch (cause) {
    if (signal.aborted) {
      throw new RegistrationError("registration_aborted", `Reading the token from "${file}" was given up`);
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError("token_unreadable", `Cannot read the token from "${file}": ${reason}`, { cause });
  }
}

async function readStream(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_BYTES) throw new Error(`it is longer than ${MAX_BYTES} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}
