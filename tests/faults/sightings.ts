/** Lines of a broker's log with which trouble of a tunnel or a backend begins, and with which it is over. */
const BEGINS = /tunnel closed|tunnel is stuck|connector is about to stop|backend is out of reach|stopping:/;
const ENDS = /tunnel ready|tunnel is well again|backend is within reach again/;

/** What a broker has noticed, and when, by its own log as it comes. */
export class Sightings {
  readonly #seen: { atMs: number; begins: boolean }[] = [];
  #fromMs = 0;

  /** Takes a line. */
  readonly see = (line: string): void => {
    const begins = BEGINS.test(line);
    if (begins || ENDS.test(line)) this.#seen.push({ atMs: performance.now(), begins });
  };

  /** A fault happens now: what counts begins here. */
  mark(): void {
    this.#fromMs = performance.now();
    this.#seen.length = 0;
  }

  /** From the fault until the broker noticed it, milliseconds; null when it did not. */
  get detectMs(): number | null {
    const first = this.#seen.find(({ begins }) => begins);
    return first === undefined ? null : first.atMs - this.#fromMs;
  }

  /** From the fault until the last thing was well again, milliseconds; null when nothing was. */
  get recoverMs(): number | null {
    const last = this.#seen.findLast(({ begins }) => !begins);
    return last === undefined ? null : last.atMs - this.#fromMs;
  }
}
