import { execFile } from "node:child_process";
import { type FileHandle, mkdir, mkdtemp, open, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { FaultStage } from "./fault_stage.ts";

const run = promisify(execFile);

/** Why no small file system can be mounted here; null when one can. */
export async function lacksMount(): Promise<string | null> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "mounting a small file system takes root";
  }
  const at = await mkdtemp(join(tmpdir(), "sallyport-mount-"));
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]);
    await run("umount", [at]);
    return null;
  } catch {
    return "mounting a small file system is not permitted";
  } finally {
    await rmdir(at);
  }
}

/** Mounts a file system of so many MiB in a folder of the stage; gone with it. */
export async function smallDisk(stage: FaultStage, name: string, mib: number): Promise<string> {
  const at = join(stage.folder, name);
  await mkdir(at, { mode: 0o700 });
  await run("mount", ["-t", "tmpfs", "-o", `size=${mib}m,mode=0700`, "tmpfs", at]);
  stage.defer(async () => void await run("umount", ["--lazy", at]));
  return at;
}

/** Fills a file system until nothing more goes on it; the result frees it again. */
export async function fill(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "filler");
  const file = await open(path, "w");
  try {
    for (const size of [65_536, 4_096, 1]) {
      const bytes = Buffer.alloc(size);
      while (await hasRoom(file, bytes));
    }
  } finally {
    await file.close();
  }
  return () => rm(path);
}

async function hasRoom(file: FileHandle, bytes: Buffer): Promise<boolean> {
  try {
    await file.write(bytes);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    return false;
  }
}
