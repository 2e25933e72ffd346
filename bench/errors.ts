/** A benchmark that cannot be completed, or (`usage`) not even started as asked. */
export class BenchError extends Error {
  readonly usage: boolean;

  constructor(message: string, options: { usage?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "BenchError";
    this.usage = options.usage ?? false;
  }
}
