import process from "node:process";

/** Says on standard error what goes on: one line that changes on a terminal, one line a row elsewhere. */
export class Progress {
  #terminal = process.stderr.isTTY;
  #started = performance.now();
  #row = "";

  /** A new row begins. */
  row(text: string): void {
    this.#row = text;
    if (!this.#terminal) process.stderr.write(`${this.#seconds()}  ${text}\n`);
  }

  /** Something within the row begins. */
  step(text: string): void {
    if (!this.#terminal) return;
    const line = `${this.#seconds()}  ${this.#row}  ${text}`;
    process.stderr.write(`\r\x1b[2K${line.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  /** Nothing more comes. */
  clear(): void {
    if (this.#terminal) process.stderr.write("\r\x1b[2K");
  }

  #seconds(): string {
    return `${Math.round((performance.now() - this.#started) / 1000)} s`.padStart(6);
  }
}
