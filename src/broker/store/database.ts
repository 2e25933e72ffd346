import { Kysely, sql } from "kysely";
import { type Log, silentLog } from "../../platform/log.ts";
import type { Actor, Timestamp } from "../model.ts";
import { ChangeFeed } from "./change_feed.ts";
import type { Connections } from "./connections.ts";
import { nodeSqliteDialect } from "./dialect.ts";
import { isStoreFailure, StoreError } from "./errors.ts";
import { createId } from "./id.ts";
import { migrate } from "./migrate.ts";
import type { Migration } from "./migrations.ts";
import type { Change } from "./port.ts";
import { DEFAULT_MAX_TOMBSTONES } from "./revisions.ts";
import type { Schema } from "./schema.ts";
import { WriteQueue } from "./write_queue.ts";

/** Queries of a transaction or snapshot. */
export type Queries = Kysely<Schema>;

/** One change of the store while it is made: its queries, its audit entry, what to tell listeners afterwards. */
export interface Mutation {
  readonly db: Queries;
  readonly now: Timestamp;
  /** Tombstones to keep for each group. */
  readonly maxTombstones: number;
  /** A new record id. */
  createId(): string;
  /** Writes the audit entry into the same transaction. `details`: changed fields, secrets masked. */
  audit(
    actor: Actor,
    action: string,
    target: string,
    details: Readonly<Record<string, unknown>>,
  ): Promise<void>;
  /** Tells listeners, once the change is on disk. */
  notify(change: Change): void;
}

/** What a database needs beside its file. */
export interface DatabaseOptions {
  clock: { now(): Timestamp };
  log?: Log;
  maxTombstones?: number;
  /** False while nothing may be forgotten because of its age: the clock may be wrong. */
  mayForget?: () => boolean;
  /** Hears of each call that failed because the store did, not for what was asked. */
  onFailure?: (error: StoreError) => void;
}

/**
 * The two ways into the file. Changes go through one connection, one after the other; reads through a
 * second, each on a snapshot of what is committed, so that they wait for no change.
 */
export class Database {
  readonly feed: ChangeFeed;
  readonly log: Log;
  readonly #clock: { now(): Timestamp };
  readonly #writer: Queries;
  readonly #reader: Queries;
  readonly #writes: WriteQueue;
  readonly #maxTombstones: number;
  readonly #mayForget: () => boolean;
  readonly #onFailure: (error: StoreError) => void;
  #writeTrouble: string | null = null;
  #closed: Promise<void> | null = null;

  constructor({ writer, reader, lockTimeoutMs }: Connections, options: DatabaseOptions) {
    const { clock, log = silentLog, maxTombstones = DEFAULT_MAX_TOMBSTONES, onFailure = () => {} } = options;
    this.log = log;
    this.feed = new ChangeFeed(log);
    this.#clock = clock;
    this.#maxTombstones = maxTombstones;
    this.#mayForget = options.mayForget ?? (() => true);
    this.#onFailure = onFailure;
    this.#writer = new Kysely({ dialect: nodeSqliteDialect(writer, "BEGIN IMMEDIATE", lockTimeoutMs) });
    this.#writes = new WriteQueue(this.#writer);
    this.#reader = new Kysely({ dialect: nodeSqliteDialect(reader, "BEGIN") });
  }

  now(): Timestamp {
    return this.#clock.now();
  }

  /** False while what has become old must be kept, because the clock may be wrong. */
  mayForget(): boolean {
    return this.#mayForget();
  }

  /** Brings the file to the newest schema; an empty one is made a store unless `expect` is "existing". */
  async migrate(migrations: readonly Migration[], expect: "existing" | "any" = "any"): Promise<void> {
    await migrate(this.#writer, migrations, this.now(), expect);
  }

  /** Runs queries on one snapshot. */
  async read<T>(body: (db: Queries) => Promise<T>): Promise<T> {
    this.#checkOpen();
    return await this.#watch(this.#reader.transaction().execute(body));
  }

  /** Makes one change: all of `body` or nothing, on disk when it resolves; then tells listeners. */
  async write<T>(body: (mutation: Mutation) => Promise<T>): Promise<T> {
    this.#checkOpen();
    const changes: Change[] = [];
    const result = await this.#watchChange(this.#writes.add((db) => body(this.#mutation(db, changes))));
    this.feed.publish(changes);
    return result;
  }

  /** A change that a loss of power may undo until the next `write`; it spares the wait for the disk. */
  async note<T>(body: (db: Queries) => Promise<T>): Promise<T> {
    this.#checkOpen();
    const noting = this.#writer.connection().execute(async (connection) => {
      await sql`PRAGMA synchronous = NORMAL`.execute(connection);
      try {
        return await connection.transaction().execute(body);
      } finally {
        await sql`PRAGMA synchronous = FULL`.execute(connection);
      }
    });
    return await this.#watchChange(noting);
  }

  /** True when the file can be read. */
  async ping(): Promise<boolean> {
    try {
      await this.read((db) => db.selectFrom("settings").select("id").executeTakeFirstOrThrow());
      return true;
    } catch {
      return false;
    }
  }

  /** Why changes cannot be made now; null when they can. After a failure it tries one that changes nothing. */
  async writeTrouble(): Promise<string | null> {
    if (this.#writeTrouble === null) return null;
    try {
      await this.note((db) => db.updateTable("settings").set(({ ref }) => ({ id: ref("id") })).execute());
    } catch {
      // It is in the field.
    }
    return this.#writeTrouble;
  }

  /** Waits for the calls made, then closes both connections. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    await this.#writes.idle();
    try {
      await this.#reader.destroy();
    } finally {
      await this.#writer.destroy();
    }
  }

  async #watch<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (isStoreFailure(error)) this.#onFailure(error);
      throw error;
    }
  }

  async #watchChange<T>(call: Promise<T>): Promise<T> {
    try {
      const result = await this.#watch(call);
      this.#writeTrouble = null;
      return result;
    } catch (error) {
      if (isStoreFailure(error)) this.#writeTrouble = error.message;
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#closed === null) return;
    throw new StoreError("store_unavailable", "Cannot use the store: it is closed", { retryable: false });
  }

  #mutation(db: Queries, changes: Change[]): Mutation {
    const now = this.now();
    return {
      db,
      now,
      maxTombstones: this.#maxTombstones,
      createId: () => createId(now),
      notify: (change) => void changes.push(change),
      audit: async (actor, action, target, details) => {
        await db.insertInto("audit").values({
          at: now,
          actor_kind: actor.kind,
          actor_id: actor.id,
          actor_address: actor.address ?? null,
          action,
          target,
          details: JSON.stringify(details),
        }).execute();
      },
    };
  }
}
