import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { globSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { needsProgram } from "./debian.ts";

/** A wall clock of a program's own, which can be set while it runs; its monotonic clock and its timers go on as they are. */
export interface FakeClock {
  /** Environment of the program. */
  env: Readonly<Record<string, string>>;
  /** Sets it to the true time and so many seconds; the program sees that within a second. */
  set(offsetS: number): Promise<void>;
}

/** Clocks by Debian's libfaketime, at the true time to begin with; null where the machine lacks it, and the test is skipped. */
export async function fakeClock(t: TestContext): Promise<FakeClock | null> {
  if (needsProgram(t, "faketime", "faketime") === null) return null;
  const [library] = globSync("/usr/lib/*/faketime/libfaketimeMT.so.1");
  if (library === undefined) throw new Error("Cannot set clocks: faketime has no libfaketimeMT.so.1");
  const folder = await mkdtemp(join(tmpdir(), "sallyport-clock-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "offset");
  const set = async (offsetS: number): Promise<void> => {
    // By a rename, so that no half of it is read.
    await writeFile(`${file}.new`, `${offsetS < 0 ? "" : "+"}${offsetS}\n`);
    await rename(`${file}.new`, file);
  };
  await set(0);
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_DISABLE_SHM: "1",
      NO_FAKE_STAT: "1",
    },
    set,
  };
}
