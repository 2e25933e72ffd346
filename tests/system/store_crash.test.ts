import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { restoreStore } from "../../src/broker/store/restore.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { randomFrom, seedOf } from "../support/random.ts";
import { ADMIN, appSettings, temporaryFolder } from "../support/store_fixture.ts";
import { StoreLedger } from "../support/store_ledger.ts";

const WRITER = fileURLToPath(new URL("../support/store_writer.ts", import.meta.url));
const RUN = "Deno" in globalThis
  ? [process.execPath, "run", "-A", "--no-check", WRITER]
  : [process.execPath, WRITER];

/** Reads what a writer says until its end, which `onLine` may bring about. */
async function follow(
  child: ChildProcess,
  ledger: StoreLedger,
  onLine: (lines: number) => void,
): Promise<void> {
  const closed = once(child, "close");
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout! })) {
    // Only the last line of a killed process may be cut off: it was not said.
    if (!line.endsWith("}")) continue;
    ledger.note(JSON.parse(line));
    onLine(++lines);
  }
  await closed;
}

test("store: killed 20 times under concurrent writers, it loses nothing acknowledged", async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  const ledger = new StoreLedger();
  const random = randomFrom(seedOf(t));
  for (let round = 0; round < 20; round++) {
    const [program, ...args] = [...RUN, path, `r${round}`, "8", "0"];
    const child = spawn(program!, args, { stdio: ["ignore", "pipe", "inherit"] });
    const killAt = 1 + Math.floor(random() * 120);
    // A moment that has nothing to do with the writer's own rhythm.
    const later = random() * 4;
    await follow(child, ledger, (lines) => {
      if (lines === killAt) void delay(later).then(() => child.kill("SIGKILL"));
    });
    assert.equal(child.signalCode, "SIGKILL");
    await ledger.verify(path);
  }
  assert.ok(ledger.alive.size > 20 && ledger.deleted.size > 0);
});

test("store: a full disk is an error worth a retry, nothing is half applied, reading goes on", {
  skip: process.platform === "win32" && "needs ulimit",
}, async (t) => {
  const path = join(temporaryFolder(t), "store.db");
  await (await openStore({ path })).close();
  const ledger = new StoreLedger();
  // A limit on the size of files: the system refuses the write, as on a full disk. Its signal would end the process.
  const child = spawn("/bin/sh", [
    "-c",
    'trap "" XFSZ; ulimit -f 2000; exec "$@"',
    "sh",
    ...RUN,
    path,
    "full",
    "4",
    "0",
  ], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  await follow(child, ledger, () => {});
  assert.deepEqual(ledger.failure, { failed: "store_unavailable", retryable: true, readable: true });
  assert.equal(child.exitCode, 0);
  assert.ok(ledger.alive.size > 0);
  await ledger.verify(path);
});

test("store: a backup taken while writers run holds all that was acknowledged, and can be restored", async (t) => {
  const folder = temporaryFolder(t);
  await using store = await openStore({ path: join(folder, "store.db") });
  const ledger = new StoreLedger();
  let stopped = false;
  const writers = Array.from({ length: 4 }, async (_, writer) => {
    for (let i = 0; !stopped; i++) {
      const { id, version } = await store.createApp(ADMIN, appSettings(`app-${writer}-${i}`));
      ledger.note({ done: "created", id, version });
      // Every change resolves without leaving the event loop's turn, so let the copying thread be heard.
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  try {
    for (let round = 0; round < 3; round++) {
      const before = new StoreLedger();
      for (const [id, version] of ledger.alive) before.alive.set(id, version);
      const [copy, restored] = [join(folder, `copy${round}.db`), join(folder, `restored${round}.db`)];
      await store.backup(copy);
      await before.verify(copy);
      await restoreStore(copy, restored);
      await using again = await openStore({ path: restored });
      for (const id of before.alive.keys()) assert.equal((await again.getApp(id)).id, id);
    }
  } finally {
    stopped = true;
    await Promise.all(writers);
  }
  assert.ok(ledger.alive.size > 0);
});

test("store: 10,000 apps in one group, made at once, pulled, and changed one by one", async (t) => {
  await using store = await openStore({ path: join(temporaryFolder(t), "store.db") });
  await Promise.all(Array.from({ length: 10_000 }, (_, i) => store.createApp(ADMIN, appSettings(`app${i}`))));
  const all = await store.appChanges("default", 0);
  assert.equal(all.apps.length, 10_000);
  const gone = all.apps[5_000]!.id;
  await store.updateApp(ADMIN, gone, { enabled: false });
  assert.deepEqual(await store.appChanges("default", all.revision), {
    revision: all.revision + 1,
    full: false,
    apps: [],
    removedIds: [gone],
  });
});
