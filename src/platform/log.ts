/** Severity, least first. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Structured facts of a log line: plain values, never secrets, query strings or cookies. */
export type LogFields = Readonly<Record<string, unknown>>;

/** The admin log as everything else sees it: a message in plain words and its facts. Never throws, never waits. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A log whose every line also carries `fields`. */
  with(fields: LogFields): Log;
}

/** One finished exchange, as the session log writes it. Times are milliseconds from the request's arrival. */
export interface SessionRecord {
  requestId: string;
  app: string;
  connector: string;
  method: string;
  host: string;
  /** Path without query string. */
  path: string;
  status: number;
  /** Body bytes from the user and to the user. */
  bytesIn: number;
  bytesOut: number;
  headMs: number;
  totalMs: number;
  clientIp: string;
  /** Why it ended when it did not end well: an error code. */
  error?: string;
}

/** The session log: `enabled` is read before a record is even built, so that it costs nothing while off. */
export interface SessionLog {
  readonly enabled: boolean;
  write(record: SessionRecord): void;
}

const nothing = () => {};

/** A log that drops every line. */
export const silentLog: Log = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  with: () => silentLog,
};
