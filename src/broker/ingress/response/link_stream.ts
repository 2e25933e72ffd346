import { Buffer } from "node:buffer";
import { Transform, type TransformCallback } from "node:stream";

/** Rewrites text that comes in pieces, one byte a character. */
export interface TextRewriter {
  write(text: string): string;
  end(): string;
}

/** Most bytes that are rewritten at a time: a rewriter takes the event loop for that long. */
const AT_A_TIME = 64 * 1024;

/** A stream around a rewriter. Bytes are taken for characters of latin1, which gives all of them back as they were. */
export class LinkStream extends Transform {
  readonly #rewriter: TextRewriter;

  constructor(rewriter: TextRewriter) {
    super();
    this.#rewriter = rewriter;
  }

  override _transform(bytes: Buffer, _encoding: string, done: TransformCallback): void {
    try {
      for (let at = 0; at < bytes.length; at += AT_A_TIME) {
        this.#push(this.#rewriter.write(bytes.toString("latin1", at, at + AT_A_TIME)));
      }
    } catch (error) {
      // What a backend sends may break its own response, never what carries it.
      return done(error as Error);
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    try {
      this.#push(this.#rewriter.end());
    } catch (error) {
      return done(error as Error);
    }
    done();
  }

  #push(text: string): void {
    if (text !== "") this.push(Buffer.from(text, "latin1"));
  }
}
