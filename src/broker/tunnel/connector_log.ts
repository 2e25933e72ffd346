import { performance } from "node:perf_hooks";
import type { Log, LogFields } from "../../platform/log.ts";
import { type AllowanceRate, Allowances } from "./allowances.ts";

/** Lines with one message about one connector. */
const LINES: AllowanceRate = { burst: 30, perSecond: 0.1 };

/** How lines about connectors are kept few. */
export interface ConnectorLogOptions {
  /** A line was left out. */
  onWithheld?: () => void;
  /** A monotonic clock, milliseconds. */
  now?: () => number;
}

/**
 * A log for what connectors cause: of lines with one message about one connector (field `connector`) it writes 30, then
 * one each ten seconds, which says how many were `withheld`. So none of them can fill the log, nor hide another one's
 * lines, nor its own of another kind. Messages must be fixed texts. `debug` and `error` are written always: the first is
 * off unless somebody wants all of it, the second is never of a connector's making.
 */
export function connectorLog(
  log: Log,
  { onWithheld = () => {}, now = () => performance.now() }: ConnectorLogOptions = {},
): Log {
  const lines = new Allowances(LINES);
  const over = (log: Log, of: unknown): Log => {
    const few = (write: Log["info"]) => (message: string, fields: LogFields = {}): void => {
      const withheld = lines.take(`${String(fields.connector ?? of)} ${message}`, 1, now());
      if (withheld < 0) onWithheld();
      else write(message, withheld === 0 ? fields : { ...fields, withheld });
    };
    return {
      debug: (message, fields) => log.debug(message, fields),
      info: few((message, fields) => log.info(message, fields)),
      warn: few((message, fields) => log.warn(message, fields)),
      error: (message, fields) => log.error(message, fields),
      with: (fields) => over(log.with(fields), fields.connector ?? of),
    };
  };
  return over(log, "");
}
