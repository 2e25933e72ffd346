import type { ByteWriter } from "./byte_writer.ts";

/** Bounds of a `LineSink`. */
export interface LineSinkOptions {
  /** Characters that may wait for a slow reader; a line beyond them is lost. */
  maxQueuedCharacters?: number;
  /** Makes the line that tells a reader, once it reads again, how many lines it missed. */
  lostLine?: (lost: number) => string;
}

const BATCH_CHARACTERS = 64 * 1024;

/**
 * Lines on their way out: queued in bounded memory, written in batches, dropped and counted while the reader is slow.
 * `add` never waits and never throws.
 */
export class LineSink {
  readonly #writer: ByteWriter;
  readonly #max: number;
  readonly #lostLine: (lost: number) => string;
  #queue: string[] = [];
  /** Characters in the queue and in the batch being written. */
  #characters = 0;
  #state: "idle" | "scheduled" | "writing" | "broken" = "idle";
  #lost = 0;
  #lostAndTold = 0;
  #waiting: (() => void)[] = [];

  constructor(writer: ByteWriter, { maxQueuedCharacters = 4 * 1024 * 1024, lostLine }: LineSinkOptions = {}) {
    this.#writer = writer;
    this.#max = maxQueuedCharacters;
    this.#lostLine = lostLine ?? ((lost) => `${lost} log lines lost\n`);
  }

  /** Lines dropped since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Characters held in memory. */
  get queuedCharacters(): number {
    return this.#characters;
  }

  /** Queues one line, with its line end. */
  add(line: string): void {
    if (this.#state === "broken" || this.#characters + line.length > this.#max) {
      this.#lost++;
      return;
    }
    this.#queue.push(line);
    this.#characters += line.length;
    if (this.#state === "idle") {
      // All lines of one turn of the event loop leave together.
      this.#state = "scheduled";
      setImmediate(() => this.#writeBatch());
    }
  }

  /** Resolves when everything queued so far is out, or after `timeoutMs`, whichever is first. */
  flush(timeoutMs: number): Promise<void> {
    if (this.#state === "idle" || this.#state === "broken") return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Counts what is left as lost and lets go of the writer. */
  close(): void {
    this.#break();
    this.#writer.close();
  }

  #writeBatch(): void {
    if (this.#state === "broken") return;
    const missed = this.#lost - this.#lostAndTold;
    if (missed > 0) {
      this.#lostAndTold = this.#lost;
      const line = this.#lostLine(missed);
      this.#queue.push(line);
      this.#characters += line.length;
    }
    if (this.#queue.length === 0) return this.#becomeIdle();
    let characters = 0;
    let lines = 0;
    while (lines < this.#queue.length && characters < BATCH_CHARACTERS) {
      characters += this.#queue[lines++]?.length ?? 0;
    }
    const batch = this.#queue.slice(0, lines).join("");
    this.#queue = this.#queue.slice(lines);
    this.#state = "writing";
    this.#writer.write(Buffer.from(batch), (error) => {
      if (this.#state === "broken") return;
      this.#characters -= characters;
      if (error === null) return this.#writeBatch();
      this.#lost += lines;
      this.#break();
    });
  }

  #becomeIdle(): void {
    this.#state = "idle";
    this.#tellWaiting();
  }

  /** The reader is gone for good: everything from here on is counted only. */
  #break(): void {
    if (this.#state === "broken") return;
    this.#state = "broken";
    this.#lost += this.#queue.length;
    this.#queue = [];
    this.#characters = 0;
    this.#tellWaiting();
  }

  #tellWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const tell of waiting) tell();
  }
}
