import { rolldown } from "rolldown";

/** Joins a program and all that it imports into one ES module. */
export async function bundle(entry: string, output: string): Promise<void> {
  const build = await rolldown({
    input: entry,
    platform: "node",
    // Packages look for optional native parts in ways that warn here and fall back at run time.
    logLevel: "silent",
  });
  try {
    await build.write({ file: output, format: "esm", minify: true, codeSplitting: false });
  } finally {
    await build.close();
  }
}
