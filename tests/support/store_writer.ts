// A process that changes a store from several writers at once and says on standard output, one JSON line each, what it
// is about to delete and what has been acknowledged. Arguments: the store's path, a prefix for names, writers, and how
// many changes each makes (0: until killed). It ends by itself at the first change that fails, and says how.
import { writeSync } from "node:fs";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { ADMIN, appSettings } from "./store_fixture.ts";

/** One line of what the writer says. */
export type WriterLine =
  | { done: "created" | "updated"; id: string; version: number }
  | { begun: "delete"; id: string }
  | { done: "deleted"; id: string }
  | { failed: string; retryable: boolean; readable: boolean };

/** A line leaves at once and whole: to a file or pipe `writeSync` waits until the system has it. */
function say(line: WriterLine): void {
  const bytes = new TextEncoder().encode(JSON.stringify(line) + "\n");
  for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at);
}

async function main([path, prefix, writers, changes]: string[]): Promise<void> {
  const store = await openStore({ path: path! });
  const write = async (writer: number) => {
    let previous: string | undefined;
    for (let i = 0; Number(changes) === 0 || i < Number(changes); i++) {
      const { id, version } = await store.createApp(ADMIN, appSettings(`${prefix}-${writer}-${i}`));
      say({ done: "created", id, version });
      const updated = await store.updateApp(ADMIN, id, { hostHeader: "user" }, version);
      say({ done: "updated", id, version: updated.version });
      if (previous !== undefined && i % 3 === 0) {
        say({ begun: "delete", id: previous });
        await store.deleteApp(ADMIN, previous);
        say({ done: "deleted", id: previous });
      }
      previous = id;
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: Number(writers) }, (_, writer) => write(writer)),
  );
  const failure = results.find((result) => result.status === "rejected")?.reason;
  if (failure !== undefined) {
    say({
      failed: String(failure.code),
      retryable: failure.retryable === true,
      readable: await store.ping(),
    });
  }
  await store.close();
}

if (import.meta.main) await main(process.argv.slice(2));
