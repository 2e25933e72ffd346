import { inTime } from "./until.ts";

/** How many lines are shown when one has not come. */
const SHOWN = 10;

/** What a program has logged in lines of JSON, as they came; tells who waits for one. */
export class LogLines {
  readonly lines: string[] = [];
  readonly #waiting = new Set<() => void>();

  /** Takes the next line. */
  add(line: string): void {
    this.lines.push(line);
    for (const look of this.#waiting) look();
  }

  /** The first line, from line `from` on, that has `text` in it; waits until it is there. Throws with the last lines when it does not come. */
  async logged(text: string, from = 0): Promise<Record<string, unknown>> {
    let at = from;
    let look = (): void => {};
    const found = new Promise<string>((resolve) => {
      look = () => {
        for (; at < this.lines.length; at++) if (this.lines[at]!.includes(text)) resolve(this.lines[at]!);
      };
    });
    this.#waiting.add(look);
    look();
    const last = () => `The last lines:\n  ${this.lines.slice(-SHOWN).join("\n  ")}`;
    try {
      return JSON.parse(await inTime(`the log has '${text}'`, found, last));
    } finally {
      this.#waiting.delete(look);
    }
  }
}
