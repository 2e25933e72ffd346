import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { bundle } from "../../compile/bundle.ts";

/** A file each. */
export interface Programs {
  broker: string;
  connector: string;
}

let made: Promise<Programs> | null = null;

/**
 * Broker and connector as they are shipped, one module of plain JavaScript each, made of the sources once. A program that Node
 * runs from TypeScript holds the compiler, too: some 50 MB that no executable of ours has.
 */
export function programs(): Promise<Programs> {
  return made ??= make();
}

async function make(): Promise<Programs> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-programs-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const one = async (name: string): Promise<string> => {
    const file = join(folder, `${name}.mjs`);
    await bundle(fileURLToPath(new URL(`../programs/${name}.ts`, import.meta.url)), file);
    return file;
  };
  const [broker, connector] = await Promise.all([one("broker"), one("connector")]);
  return { broker, connector };
}
