import { access, constants, statfs } from "node:fs/promises";
import { StateError } from "../identity/errors.ts";
import { checkPermissions } from "../identity/state_folder.ts";
import type { Finding } from "./check.ts";
import { DoctorError } from "./errors.ts";

/** Bytes that a renewal needs many times over. */
const LEAST_BYTES = 1024 * 1024;

/** Is the state folder there, ours alone, and writable? Throws `StateError`. */
export async function checkStateFolder(stateDir: string): Promise<Finding> {
  await access(stateDir, constants.F_OK).catch((cause) => {
    if (cause.code !== "ENOENT" && cause.code !== "ENOTDIR") {
      throw new StateError("state_unreadable", `Cannot reach "${stateDir}": ${cause.message}`, { cause });
    }
    throw new StateError("state_not_registered", `Cannot find "${stateDir}": this host is not registered`, {
      cause,
    });
  });
  await checkPermissions(stateDir);
  await access(stateDir, constants.W_OK | constants.X_OK).catch((cause) => {
    const user = process.getuid?.() === undefined ? "" : ` as user ${process.getuid?.()}`;
    throw new StateError("state_unwritable", `Cannot write in "${stateDir}"${user}: ${cause.message}`, {
      cause,
    });
  });
  return `"${stateDir}", owner and mode in order, writable`;
}

/** Is there room for a renewal? Throws `DoctorError`. */
export async function checkDisk(stateDir: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(stateDir);
  const free = bavail * bsize;
  const text = `${Math.floor(free / 1024 / 1024)} MiB free`;
  if (free < LEAST_BYTES) throw new DoctorError("disk_full", `Only ${free} bytes are free at "${stateDir}"`);
  return text;
}

/** The patterns in force. */
export function describeAllowList(patterns: readonly string[]): string {
  const never = "link-local, cloud-metadata, multicast and unspecified addresses only where listed as such";
  return patterns.length === 0 ? `any address; ${never}` : `${patterns.join(", ")}; ${never}`;
}
