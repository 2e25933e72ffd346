/** What every error of Sallyport carries beside its message. */
export interface ErrorOptions {
  /** What went wrong underneath. */
  cause?: unknown;
  /** True only where the same action may succeed later with nothing changed by an operator. */
  retryable?: boolean;
  /** Facts for logs and problem bodies: never secrets. */
  details?: Readonly<Record<string, unknown>>;
}

/**
 * An error with a code that a caller, a script or `docs/errors.md` can rely on. Each area derives one class per
 * thing that a caller would handle differently, and exports its codes as a `..._CODES` array from an `errors.ts`.
 */
export class SallyportError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: Code, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? {};
  }
}

/** What a log line or a message says of whatever was thrown. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
