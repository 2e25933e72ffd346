import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { setTimeout as delay } from "node:timers/promises";
import { isLocked, toStoreError } from "./sqlite_error.ts";
import { Turnstile } from "./turnstile.ts";

/** How a transaction of a connection begins: one that writes takes the lock first, so that it cannot fail half-way. */
export type Begin = "BEGIN" | "BEGIN IMMEDIATE";

/** Prepared statements kept for the next use, a connection. */
const MAX_STATEMENTS = 256;
/** Calls that may wait for a connection. */
const MAX_WAITING = 20_000;
/** How often a lock is asked for that another process holds. */
const ASK_AGAIN_MS = 10;

/**
 * Kysely over one open `node:sqlite` connection. Kysely's own SQLite driver is not used: its mutex wakes every waiter
 * at each turn, and its transactions take the write lock only at the first write.
 *
 * `lockTimeoutMs`: how long the beginning of a transaction waits for a lock, while all else goes on. Once it has waited
 * in vain the next ones do not wait at all, until one gets the lock: who queues up behind it must not add up the time.
 */
export function nodeSqliteDialect(database: DatabaseSync, begin: Begin, lockTimeoutMs = 0): Dialect {
  return {
    createDriver: () => new NodeSqliteDriver(database, begin, lockTimeoutMs),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createAdapter: () => new SqliteAdapter(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  };
}

class NodeSqliteDriver implements Driver {
  readonly #database: DatabaseSync;
  readonly #begin: Begin;
  readonly #connection: NodeSqliteConnection;
  readonly #lockTimeoutMs: number;
  #isLockedOut = false;
  /** One connection, so one transaction at a time; between its queries nobody else may slip in. */
  readonly #turnstile = new Turnstile(MAX_WAITING);

  constructor(database: DatabaseSync, begin: Begin, lockTimeoutMs: number) {
    this.#database = database;
    this.#begin = begin;
    this.#lockTimeoutMs = lockTimeoutMs;
    this.#connection = new NodeSqliteConnection(database);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    await this.#turnstile.enter();
    return this.#connection;
  }

  async releaseConnection(): Promise<void> {
    this.#turnstile.leave();
  }

  async beginTransaction(): Promise<void> {
    const end = performance.now() + (this.#isLockedOut ? 0 : this.#lockTimeoutMs);
    for (;;) {
      try {
        this.#database.exec(this.#begin);
        this.#isLockedOut = false;
        return;
      } catch (error) {
        this.#isLockedOut = isLocked(error) && performance.now() >= end;
        if (!isLocked(error) || this.#isLockedOut) throw toStoreError(error);
      }
      await delay(ASK_AGAIN_MS);
    }
  }

  async commitTransaction(): Promise<void> {
    this.#exec("COMMIT");
  }

  /** Nothing to do when SQLite has rolled back by itself, as it does on a full disk. */
  async rollbackTransaction(): Promise<void> {
    if (this.#database.isTransaction) this.#exec("ROLLBACK");
  }

  async destroy(): Promise<void> {
    await this.#turnstile.enter(Infinity);
    this.#database.close();
  }

  #exec(sql: string): void {
    try {
      this.#database.exec(sql);
    } catch (error) {
      throw toStoreError(error);
    }
  }
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, { statement: StatementSync; reads: boolean }>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  async executeQuery<Row>({ sql, parameters }: CompiledQuery): Promise<QueryResult<Row>> {
    const values = parameters as SQLInputValue[];
    try {
      const { statement, reads } = this.#prepare(sql);
      if (reads) return { rows: statement.all(...values) as Row[] };
      const { changes } = statement.run(...values);
      return { rows: [], numAffectedRows: BigInt(changes) };
    } catch (error) {
      throw toStoreError(error);
    }
  }

  async *streamQuery<Row>({ sql, parameters }: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
    const rows = this.#database.prepare(sql).iterate(...parameters as SQLInputValue[]);
    for (const row of rows) yield { rows: [row as Row] };
  }

  #prepare(sql: string): { statement: StatementSync; reads: boolean } {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    const prepared = { statement, reads: statement.columns().length > 0 };
    if (this.#statements.size >= MAX_STATEMENTS) {
      this.#statements.delete(this.#statements.keys().next().value!);
    }
    this.#statements.set(sql, prepared);
    return prepared;
  }
}
