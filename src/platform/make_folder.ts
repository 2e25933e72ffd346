import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it that are missing, with this mode; true when it was not there. Throws what the
 * operating system says. Node's own recursive `mkdir` asks for ever where a file system has no room for new names and
 * says "no such file" of them (`/proc`).
 */
export async function makeFolder(path: string, mode: number): Promise<boolean> {
  const missing: string[] = [];
  for (let at = path; !await isThere(at); at = dirname(at)) missing.push(at);
  for (const folder of missing.reverse()) {
    try {
      await mkdir(folder, { mode });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // Somebody else has made it meanwhile.
    }
  }
  if (!(await stat(path)).isDirectory()) {
    throw Object.assign(new Error(`not a folder, "${path}"`), { code: "ENOTDIR" });
  }
  return missing.length > 0;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return dirname(path) === path;
  }
}
