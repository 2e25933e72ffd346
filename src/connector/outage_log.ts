import type { Log, LogFields } from "../platform/log.ts";
import { mayPass, type ShutOut } from "./shut_out.ts";

/** A failure that goes on is in the log so often, however often it is met. */
const TOLD_EVERY_MS = 60_000;
/** The same where only a person can change it. */
const UNTRUSTED_EVERY_MS = 300_000;
/** Failures told apart, at most, all others count as one: a broker could make up reasons without end. */
const MOST_KINDS = 16;
const OTHERS = "others";

/**
 * What the log has of the times without a tunnel. The broker may be dialled several times a second: each kind of failure
 * is told at once, then seldom, with how often it was met; all of them are there at level debug.
 */
export class OutageLog {
  readonly #log: Log;
  readonly #now: () => number;
  /** By code and reason: when it was told last, and how often it was met since. */
  readonly #kinds = new Map<string, { at: number; attempts: number }>();
  /** Since when there is no tunnel; null before the first failure or loss. */
  #since: number | null = null;

  /** `now`: milliseconds of a monotonic clock. */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
  }

  /** A tunnel is up: whatever fails from now on is news. */
  ready(fields: LogFields): void {
    this.#log.info("tunnel ready", { ...fields, ...this.#duration() });
    this.#kinds.clear();
    this.#since = null;
  }

  /** The tunnel has ended; null: the broker ended it in peace. */
  lost(reason: Error | null): void {
    this.#since = this.#now();
    const fields = reason === null ? { reason: "closed by the broker" } : {
      reason: reason.message,
      code: (reason as { code?: string }).code ?? "error",
    };
    this.#log.warn("tunnel lost", fields);
  }

  /** A dial has failed; the next one is `waitMs` milliseconds away. */
  failed(error: Error, shutOut: ShutOut | null, waitMs: number): void {
    const at = this.#now();
    this.#since ??= at;
    const fields = failureFields(error);
    const next = { nextTryInS: seconds(waitMs) };
    const kind = this.#kindOf(`${fields.code} ${fields.reason}`);
    const known = this.#kinds.get(kind);
    if (known === undefined) {
      this.#kinds.set(kind, { at, attempts: 0 });
      this.#log.warn("no tunnel", { ...fields, ...next });
    } else {
      known.attempts += 1;
      if (at - known.at < (shutOut !== null && mayPass(shutOut) ? UNTRUSTED_EVERY_MS : TOLD_EVERY_MS)) {
        return this.#log.debug("no tunnel", { ...fields, ...next });
      }
      const { attempts } = known;
      this.#log.warn("still no tunnel", { ...fields, attempts, ...this.#duration(), ...next });
      Object.assign(known, { at, attempts: 0 });
    }
    if (shutOut !== null) this.shutOut(shutOut, waitMs);
  }

  /** The broker does not let this connector in until a person does something. */
  shutOut(shutOut: ShutOut, waitMs: number): void {
    const text = mayPass(shutOut) ? "does not trust the broker" : "shut out by the broker";
    this.#log.error(text, { ...shutOut, nextTryInS: seconds(waitMs) });
  }

  #kindOf(name: string): string {
    return this.#kinds.has(name) || this.#kinds.size < MOST_KINDS ? name : OTHERS;
  }

  #duration(): LogFields {
    return this.#since === null ? {} : { withoutTunnelS: seconds(this.#now() - this.#since) };
  }
}

/** What a log line says of an error. */
export function failureFields(error: Error): Record<string, unknown> {
  const { code, details } = error as { code?: string; details?: Record<string, unknown> };
  return { error: error.message, code: code ?? "error", ...details };
}

/** With one decimal. */
function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
