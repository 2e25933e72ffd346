import { createHash } from "node:crypto";
import { join, resolve } from "node:path";

/** Where a running connector answers questions: a socket in its state folder; on Windows a pipe named after the folder. */
export function statusSocketPath(stateDir: string): string {
  if (process.platform !== "win32") return join(stateDir, "status.sock");
  const name = createHash("sha256").update(resolve(stateDir).toLowerCase()).digest("hex").slice(0, 16);
  return `\\\\.\\pipe\\sallyport-connector-${name}`;
}
