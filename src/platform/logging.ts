import { isatty } from "node:tty";
import { Logger } from "tslog";
import { openByteWriter } from "./byte_writer.ts";
import { LineSink } from "./line_sink.ts";
import type { Log, LogFields, LogLevel, SessionLog } from "./log.ts";
import { maskText, plainFields } from "./plain_fields.ts";
import { jsonSessionLine, prettySessionLine, withoutControls } from "./session_line.ts";

/** How a program logs; everything but `format` can change while it runs. */
export interface LoggingOptions {
  level: LogLevel;
  /** `auto`: lines for people when the destination is a terminal. */
  format: "auto" | "json" | "pretty";
  sessionLog: boolean;
  /** Where lines go; standard error unless given. */
  sink?: LineSink;
  /** Facts that every line carries. */
  fields?: LogFields;
}

/** The logs of one process. The composition root makes it first and flushes it last. */
export interface Logging {
  readonly log: Log;
  readonly session: SessionLog;
  /** Lines dropped because nobody read them in time. */
  readonly lost: number;
  readonly level: LogLevel;
  setLevel(level: LogLevel): void;
  setSessionLog(enabled: boolean): void;
  /** Waits until what was logged is written, at most `timeoutMs` (500 by default). Call it before the process ends. */
  flush(timeoutMs?: number): Promise<void>;
}

const RANK: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const STANDARD_ERROR = 2;
const FLUSH_MS = 500;

/** Makes the logs of a program. Nothing it returns ever throws or waits for a reader. */
export function createLogging({ level, format, sessionLog, sink, fields }: LoggingOptions): Logging {
  const json = format === "auto" ? sink !== undefined || !isatty(STANDARD_ERROR) : format === "json";
  const out = sink ?? new LineSink(openByteWriter(STANDARD_ERROR), {
    lostLine: (lost) => {
      const line = {
        time: new Date().toISOString(),
        level: "warn",
        kind: "admin",
        message: "Log lines lost",
        lost,
      };
      return json ? `${JSON.stringify(line)}\n` : `${line.time} WARN Log lines lost { lost: ${lost} }\n`;
    },
  });
  const write = json ? jsonWriter(out) : prettyWriter(out, sink === undefined);
  const state = { level, sessionLog };
  return {
    log: new LeveledLog(write, () => RANK[state.level], fields ?? {}),
    session: {
      get enabled() {
        return state.sessionLog;
      },
      write(record) {
        if (state.sessionLog) out.add(json ? jsonSessionLine(record) : prettySessionLine(record));
      },
    },
    get lost() {
      return out.lost;
    },
    get level() {
      return state.level;
    },
    setLevel: (next) => void (state.level = next),
    setSessionLog: (enabled) => void (state.sessionLog = enabled),
    flush: (timeoutMs = FLUSH_MS) => out.flush(timeoutMs),
  };
}

type Write = (level: LogLevel, message: string, fields: LogFields) => void;

class LeveledLog implements Log {
  readonly #write: Write;
  readonly #least: () => number;
  readonly #fields: LogFields;

  constructor(write: Write, least: () => number, fields: LogFields) {
    this.#write = write;
    this.#least = least;
    this.#fields = fields;
  }

  debug(message: string, fields?: LogFields): void {
    this.#add("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#add("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#add("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#add("error", message, fields);
  }

  with(fields: LogFields): Log {
    return new LeveledLog(this.#write, this.#least, { ...this.#fields, ...fields });
  }

  #add(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (RANK[level] < this.#least()) return;
    try {
      this.#write(level, maskText(message), plainFields({ ...this.#fields, ...fields }));
    } catch {
      // A field that cannot be read or printed must not cost the message, nor its caller.
      this.#write(level, maskText(message), { fieldsUnprintable: true });
    }
  }
}

type TslogRecord = Record<string, unknown>;

/** tslog prints; it never writes by itself (`hidden`), so that only the bounded sink does. */
function tslog(
  format: "pretty" | ((record: TslogRecord) => string),
  out: LineSink,
  color: boolean,
): Logger<TslogRecord> {
  return new Logger<TslogRecord>({
    type: "hidden",
    minLevel: 0,
    stack: { capture: "off" },
    pretty: {
      style: color,
      template: "{{dateIsoStr}} {{logLevelName}} ",
      inspectOptions: { depth: 4, breakLength: Infinity, compact: true },
    },
    attachedTransports: [{ format, write: (_record, line) => out.add(`${line}\n`) }],
  });
}

function prettyWriter(out: LineSink, isTerminal: boolean): Write {
  const logger = tslog(
    "pretty",
    out,
    isTerminal && isatty(STANDARD_ERROR) && process.env.NO_COLOR === undefined,
  );
  return (level, message, fields) => {
    const line = withoutControls(message);
    if (Object.keys(fields).length === 0) logger[level](line);
    else logger[level](line, fields);
  };
}

function jsonWriter(out: LineSink): Write {
  let level: LogLevel = "info";
  const logger = tslog((record) => jsonLine(level, record), out, false);
  return (now, message, fields) => {
    level = now;
    logger[now]({ line: message, fields });
  };
}

/** Facts of the line itself come first and cannot be replaced by a field of the same name. */
function jsonLine(level: LogLevel, record: TslogRecord): string {
  const own = { time: new Date().toISOString(), level, kind: "admin", message: record.line };
  const fields = record.fields as LogFields;
  const line: Record<string, unknown> = { ...own };
  for (const [name, value] of Object.entries(fields)) {
    line[Object.hasOwn(own, name) ? `${name}_` : name] = value;
  }
  return JSON.stringify(line);
}
