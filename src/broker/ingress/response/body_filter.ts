import type { Buffer } from "node:buffer";
import { pipeline, type Transform } from "node:stream";
import type { Flushable, FlushQueue } from "../../../tunnel/flush_queue.ts";
import type { Encoder } from "./content_codings.ts";

/** Where a filtered body goes. */
export interface FilterSink {
  /** False: wait for `resume`. */
  filtered(bytes: Buffer): boolean;
  /** More can be taken, after `write` returned false. */
  filterReady(): void;
  /** All is out. */
  filterEnded(): void;
  /** The body cannot be read for what it says it is, or breaks off. */
  filterFailed(): void;
}

/**
 * A body on its way through streams that change it: undone, rewritten, compressed. Each holds a few times its high-water mark at
 * most, and none takes more than the next one and the user do, however much a compressed body unfolds to.
 */
export class BodyFilter implements Flushable {
  readonly #first: Transform;
  readonly #encoder: Encoder | null;
  readonly #turns: FlushQueue;
  readonly #sink: FilterSink;
  readonly #last: Transform;
  #hasInput = false;
  #awaitsDrain = false;
  #flushing = false;
  #life: "open" | "ended" | "over" = "open";

  /** `stages` in the order of the body's way, at least one; `encoder`: the last one, where it compresses. */
  constructor(stages: readonly Transform[], encoder: Encoder | null, turns: FlushQueue, sink: FilterSink) {
    this.#first = stages[0]!;
    this.#last = stages.at(-1)!;
    this.#encoder = encoder;
    this.#turns = turns;
    this.#sink = sink;
    this.#first.on("drain", () => {
      if (this.#life === "open") sink.filterReady();
    });
    this.#last.on("data", (bytes: Buffer) => {
      if (this.#life !== "over" && !sink.filtered(bytes)) this.#last.pause();
    });
    this.#last.on("end", () => {
      if (this.#life === "ended") this.#finish();
    });
    if (stages.length > 1) {
      pipeline(stages, (error) => this.#failed(error));
      if (encoder !== null) stages.at(-2)!.on("data", () => this.#compressing());
    } else this.#first.on("error", (error) => this.#failed(error));
  }

  /** Bytes of the body; false: wait for `filterReady`. */
  write(bytes: Buffer): boolean {
    this.#hasInput = true;
    const room = this.#first.write(bytes);
    if (this.#first === this.#encoder) this.#compressing();
    return room;
  }

  /** The body has ended. */
  end(): void {
    if (this.#life !== "open") return;
    this.#life = "ended";
    if (this.#hasInput) this.#first.end();
    else this.#finish(); // An empty body is no damaged one.
  }

  /** The user has taken what was written. */
  resume(): void {
    if (this.#last.isPaused()) this.#last.resume();
  }

  /** Lets go of everything; nothing more is told. */
  destroy(): void {
    this.#life = "over";
    this.#first.destroy();
    this.#last.destroy();
  }

  /** Once a turn, so that what comes in pieces is seen in pieces. */
  flush(): void {
    this.#flushing = false;
    const encoder = this.#encoder!;
    if (this.#life !== "open") return;
    if (!encoder.writableNeedDrain) return void encoder.flush();
    if (this.#awaitsDrain) return;
    this.#awaitsDrain = true;
    encoder.once("drain", () => {
      this.#awaitsDrain = false;
      this.#compressing();
    });
  }

  #compressing(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#turns.add(this);
  }

  #finish(): void {
    this.#life = "over";
    this.#first.destroy();
    this.#sink.filterEnded();
  }

  #failed(error: unknown): void {
    if (error == null || this.#life === "over") return;
    this.#life = "over";
    this.#sink.filterFailed();
  }
}
