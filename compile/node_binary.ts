import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { runCommand, tryCommand } from "./command.ts";
import type { Target } from "./target.ts";

const DOWNLOAD_MS = 300_000;
const STRIP_MS = 60_000;

/**
 * The Node of this very version for a target, stripped where a tool for it exists: that saves a fifth, and has to happen
 * before the program goes in (a stripped executable crashes). From the npm package, kept in `cache`.
 */
export async function nodeBinary(
  target: Target,
  isHost: boolean,
  cache: string,
  say: (line: string) => void,
) {
  const folder = join(cache, `${target.npmPackage}-${process.versions.node}`);
  const ready = join(folder, `stripped${target.suffix}`);
  if (existsSync(ready)) return ready;
  mkdirSync(folder, { recursive: true });
  const source = isHost ? process.execPath : await download(target, folder, say);
  const made = join(folder, `making${target.suffix}`);
  copyFileSync(source, made);
  chmodSync(made, 0o755);
  let stripped = false;
  for (const strip of target.strip) {
    stripped ||= (await tryCommand(strip, [made], { timeoutMs: STRIP_MS })).code === 0;
  }
  if (!stripped && target.strip.length > 0) {
    copyFileSync(source, made);
    say(
      `${target.name}: not stripped, none of ${
        target.strip.join(", ")
      } could do it; the executable is larger`,
    );
  }
  renameSync(made, ready);
  return ready;
}

async function download(target: Target, folder: string, say: (line: string) => void): Promise<string> {
  const unpacked = join(folder, "package", target.binary);
  if (existsSync(unpacked)) return unpacked;
  const name = `${target.npmPackage}@${process.versions.node}`;
  say(`${target.name}: fetching ${name}`);
  const packed = await runCommand("npm", ["pack", name, "--json", "--pack-destination", folder], {
    timeoutMs: DOWNLOAD_MS,
  });
  const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
  await runCommand("tar", ["-xzf", basename(filename)], { cwd: folder, timeoutMs: STRIP_MS });
  return unpacked;
}
