import { setImmediate as nextTurn } from "node:timers/promises";
import { type Kysely, sql } from "kysely";
import { StoreError } from "./errors.ts";
import type { Schema } from "./schema.ts";

/** Changes that share one transaction, at most: so many keep the event loop for a few milliseconds. */
const MAX_BATCH = 32;
/** Changes that may wait. */
const MAX_WAITING = 20_000;

interface Job {
  run(db: Kysely<Schema>): Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/**
 * Makes changes one after another. Those that have come meanwhile share the next transaction and its wait for the
 * disk, each under a savepoint of its own: one that fails undoes itself alone, and none is answered before all are on
 * disk. Between transactions the event loop has its turn.
 */
export class WriteQueue {
  readonly #writer: Kysely<Schema>;
  #waiting: Job[] = [];
  #draining: Promise<void> | null = null;

  constructor(writer: Kysely<Schema>) {
    this.#writer = writer;
  }

  /** Resolves with what `run` gave once it is on disk. */
  add<T>(run: (db: Kysely<Schema>) => Promise<T>): Promise<T> {
    if (this.#waiting.length >= MAX_WAITING) {
      const state = `${MAX_WAITING} changes are waiting already`;
      return Promise.reject(new StoreError("store_unavailable", `Cannot change the store: ${state}`));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ run, resolve: resolve as Job["resolve"], reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    while (this.#draining !== null) await this.#draining;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#commit(this.#waiting.splice(0, MAX_BATCH));
      await nextTurn();
    }
    this.#draining = null;
  }

  async #commit(batch: readonly Job[]): Promise<void> {
    const answers: (() => void)[] = [];
    try {
      await this.#writer.transaction().execute(async (db) => {
        for (const job of batch) answers.push(await attempt(db, job));
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    for (const answer of answers) answer();
  }
}

/** Runs one change and gives the answer that it is to have. Throws when the whole transaction is lost. */
async function attempt(db: Kysely<Schema>, { run, resolve, reject }: Job): Promise<() => void> {
  await sql`SAVEPOINT change`.execute(db);
  try {
    const value = await run(db);
    await sql`RELEASE change`.execute(db);
    return () => resolve(value);
  } catch (error) {
    try {
      await sql`ROLLBACK TO change`.execute(db);
      await sql`RELEASE change`.execute(db);
    } catch {
      // SQLite rolls back by itself on a full disk and the like; then the savepoint is gone, and all of the batch.
      throw error;
    }
    return () => reject(error);
  }
}
