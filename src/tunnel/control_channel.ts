import type { Duplex } from "node:stream";
import { ProtocolError } from "../protocol/errors.ts";
import { type FrameKind, ON_CONTROL } from "../protocol/frame.ts";
import { FrameReader, type FrameSink } from "../protocol/frame_reader.ts";
import { type ControlMessage, encodeMessage, parseMessage } from "../protocol/messages.ts";
import { ControlError } from "./errors.ts";

/** Fields of a message, without `id` and `type`. */
export type Fields = Record<string, unknown>;

/** Sends one part of an answer; all but the last say `more`. Resolves when the peer can take the next part. */
export type Reply = (fields: Fields, more?: boolean) => Promise<void>;

/** What one side does with what the other sends. */
export interface ControlHandler {
  /** A request; what it throws is answered as an error with its code. Unknown types: return "unsupported". */
  request(type: string, fields: Fields, reply: Reply): Promise<void | "unsupported">;
  /** A notice; unknown ones are ignored. */
  notice(type: string, fields: Fields): void;
  /** A message of whatever kind came, of so many bytes. What this throws ends the channel. */
  message?: ((bytes: number) => void) | undefined;
  /** Bytes came in. */
  received(bytes: number): void;
  /** The channel is gone; `error` is null when the peer ended it in peace. */
  closed(error: Error | null): void;
}

interface Pending {
  onPart: (fields: Fields) => void;
  resolve: (fields: Fields) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

const MOST_PENDING = 64;
const MOST_SERVED = 16;
/** Bytes written and not yet taken by the peer after which it counts as stalled. */
const MOST_BUFFERED = 8 * 1024 * 1024;

/** Requests, answers and notices over the control stream of a tunnel; the same on both sides. */
export class ControlChannel implements FrameSink {
  readonly #stream: Duplex;
  readonly #handler: ControlHandler;
  readonly #reader = new FrameReader(ON_CONTROL, this);
  readonly #pending = new Map<number, Pending>();
  /** `ending`: we have said our last word and still listen. */
  #life: "open" | "ending" | "closed" = "open";
  #lastId = 0;
  #serving = 0;
  /** Who waits until the peer has taken what was written. */
  #waiting: (() => void)[] = [];

  constructor(stream: Duplex, handler: ControlHandler) {
    this.#stream = stream;
    this.#handler = handler;
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("drain", () => this.#wake());
    stream.on("end", () => this.#ended());
    stream.on("error", (error) => this.#close(error));
    stream.on("close", () => this.#cut());
  }

  /** True until either side has closed it. */
  get isOpen(): boolean {
    return this.#life === "open";
  }

  /**
   * Asks the peer and waits for the last part of its answer, at most `timeoutMs` for each; earlier parts go to `onPart`.
   * Throws `ControlError`, with the peer's code where it answered with an error; `ProtocolError` where the question is
   * larger than a message may be.
   */
  request(
    type: string,
    fields: Fields,
    timeoutMs: number,
    onPart: (fields: Fields) => void = () => {},
  ): Promise<Fields> {
    if (this.#life !== "open") {
      return Promise.reject(new ControlError("control_closed", "Cannot ask: tunnel is closed"));
    }
    if (this.#pending.size >= MOST_PENDING) {
      return Promise.reject(
        new ControlError("control_overloaded", `Cannot ask "${type}": too many requests wait`),
      );
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const frame = encodeMessage({ ...fields, id, type });
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(
          new ControlError("control_timeout", `Peer did not answer "${type}" in ${timeoutMs} ms`, {
            retryable: true,
          }),
        );
      }, timeoutMs);
      this.#pending.set(id, { onPart, resolve, reject, timer });
      this.#write(frame);
    });
  }

  /**
   * Tells the peer something that needs no answer. Dropped when the channel is closed. Throws `ProtocolError` where it is
   * larger than a message may be.
   */
  notice(type: string, fields: Fields = {}): void {
    this.#send({ ...fields, type });
  }

  /** Ends the channel in peace: nothing more is sent, and `closed` comes when the peer has ended it, too. */
  end(): void {
    if (this.#life !== "open") return;
    this.#life = "ending";
    this.#stream.end();
    this.#wake();
  }

  /** Ends the channel at once. */
  destroy(error: Error): void {
    this.#close(error);
  }

  frame(_kind: FrameKind, exchange: number, payload: Buffer): void {
    if (this.#life === "closed") return;
    if (exchange !== 0) throw new ProtocolError(`Cannot accept message: exchange is ${exchange}, not 0`);
    this.#handler.message?.(payload.length);
    const { id, type, ...fields } = parseMessage(payload);
    if (id === undefined) return this.#handler.notice(type, fields);
    if (type === "reply" || type === "error") return this.#answered(id, type, fields);
    if (this.#life !== "open") return;
    if (this.#serving >= MOST_SERVED) {
      return this.#send({
        id,
        type: "error",
        code: "control_overloaded",
        message: "Too many requests at once",
      });
    }
    void this.#serve(id, type, fields);
  }

  data(): void {
    throw new ProtocolError("Cannot accept data on the control stream");
  }

  #answered(id: number, type: string, fields: Fields): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    if (fields.more === true) {
      pending.timer.refresh();
      return pending.onPart(fields);
    }
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (type === "reply") return pending.resolve(fields);
    const code = typeof fields.code === "string" ? fields.code : "internal";
    pending.reject(new ControlError(code, typeof fields.message === "string" ? fields.message : code));
  }

  async #serve(id: number, type: string, fields: Fields): Promise<void> {
    this.#serving++;
    try {
      const result = await this.#handler.request(type, fields, (part, more = false) => {
        this.#send(more ? { ...part, id, type: "reply", more } : { ...part, id, type: "reply" });
        return this.#room();
      });
      if (result === "unsupported") {
        this.#send({
          id,
          type: "error",
          code: "unsupported",
          message: `Request "${type}" is not known here`,
        });
      }
    } catch (error) {
      this.#send({ id, type: "error", ...answerOf(error) });
    } finally {
      this.#serving--;
    }
  }

  #send(message: ControlMessage): void {
    if (this.#life === "open") this.#write(encodeMessage(message));
  }

  #write(frame: Buffer): void {
    if (this.#stream.writableLength > MOST_BUFFERED) {
      return this.#close(new ControlError("control_overloaded", "Peer does not read its control stream"));
    }
    this.#stream.write(frame);
  }

  #room(): Promise<void> {
    if (this.#life !== "open" || !this.#stream.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #read(chunk: Buffer): void {
    if (this.#life === "closed") return;
    this.#handler.received(chunk.length);
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#close(error as Error);
    }
  }

  #ended(): void {
    // HTTP/2 tells of a reset with no error, or of a connection that was cut, as an end, too (`aborted`).
    if ((this.#stream as { aborted?: boolean }).aborted === true) return this.#cut();
    if (this.#reader.atBoundary) return this.#close(null);
    this.#close(new ProtocolError("Cannot read message: the stream ended within it"));
  }

  /** The stream closed without a word: with its session, or reset. */
  #cut(): void {
    if (this.#life === "closed") return;
    this.#close(new ControlError("control_closed", "Cannot go on: tunnel was cut", { retryable: true }));
  }

  #close(error: Error | null): void {
    if (this.#life === "closed") return;
    this.#life = "closed";
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(
        new ControlError("control_closed", "Tunnel closed before an answer came", { retryable: true }),
      );
    }
    this.#pending.clear();
    this.#wake();
    if (error === null) this.#stream.end();
    else this.#stream.destroy(error);
    this.#handler.closed(error);
  }
}

const LONGEST_ERROR_MESSAGE = 1024;

/** What the peer is told of an error: something thrown that has no code of ours is nobody's business but the log's. */
function answerOf(error: unknown): { code: string; message: string } {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code !== "string" || typeof message !== "string") {
    return { code: "internal", message: "Request failed" };
  }
  return { code: code.slice(0, 64), message: message.slice(0, LONGEST_ERROR_MESSAGE) };
}
