import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";

/** The file that a program's name stands for on `PATH` (and where Debian puts servers), or null. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  for (const folder of folders) {
    if (folder === "") continue;
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/**
 * The file of a program that a test needs; null when the machine lacks it, and then the test is skipped with the line
 * that installs it: `const nginx = needsProgram(t, "nginx", "nginx"); if (nginx === null) return;`
 */
export function needsProgram(t: TestContext, program: string, debianPackage: string): string | null {
  const path = findProgram(program);
  if (path === null) t.skip(`needs ${program}: apt-get install -y --no-install-recommends ${debianPackage}`);
  return path;
}
