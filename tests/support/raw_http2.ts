import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";

/** Types of frames (RFC 9113 section 6). */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flags of frames. */
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4 } as const;

/** What became of one stream, or of the connection under it. */
export interface Http2Outcome {
  /** 0: no response head came. */
  status: number;
  body: string;
  /** `response`: whole; `reset`: this stream; `goaway`: the connection was ended with an error; `closed`: without a word. */
  end: "response" | "reset" | "goaway" | "closed";
  /** Error code of the reset or GOAWAY. */
  code: number;
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** No dynamic table: each block of the peer then begins with a `:status` that can be read alone. */
const NO_TABLE = [0, 1, 0, 0, 0, 0];

/** One frame as bytes; nothing about it is checked. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array | string = "",
): Buffer {
  const bytes = Buffer.from(payload as string, "latin1");
  const head = Buffer.alloc(9);
  head.writeUIntBE(bytes.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, bytes]);
}

/** A header block without table, Huffman or checks: names and values in turn, latin1. */
export function headerBlock(list: readonly string[]): Buffer {
  return Buffer.concat(
    list.flatMap((text, i) => i % 2 === 0 ? [Uint8Array.of(0), literal(text)] : [literal(text)]),
  );
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push(128 + rest % 128);
    length.push(rest);
  }
  return Buffer.concat([Uint8Array.from(length), bytes]);
}

/** A user's HTTP/2 connection as frames: sends what it is told and acknowledges settings, no more. */
export class RawHttp2 {
  readonly socket: TLSSocket;
  /** Frames that came, by type. */
  readonly seen: Map<number, number> = new Map();
  #bytes: Buffer = Buffer.alloc(0);
  #streams = new Map<number, Http2Outcome>();
  #goaway: number | undefined;
  #closed = false;
  #wake: (() => void)[] = [];

  constructor(socket: TLSSocket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("error", () => {});
    socket.on("close", () => this.#over());
    socket.on("end", () => socket.destroy());
  }

  /** Connects, and greets with `settings` (payload) unless it is undefined. */
  static async open(options: ConnectionOptions, settings: readonly number[] | null = []): Promise<RawHttp2> {
    const socket = connectTls({ host: "127.0.0.1", ALPNProtocols: ["h2"], ...options });
    await once(socket, "secureConnect");
    socket.setNoDelay(true);
    const user = new RawHttp2(socket);
    if (settings !== null) {
      user.send(PREFACE);
      user.send(frame(FRAME.settings, 0, 0, Uint8Array.from([...NO_TABLE, ...settings])));
    }
    return user;
  }

  /** Sends bytes as they are; false: the peer does not take them, wait for `drained`. */
  send(bytes: Uint8Array | string): boolean {
    if (typeof bytes === "string") return this.socket.write(bytes, "latin1");
    return this.socket.write(bytes);
  }

  /** Resolves when what was sent has left, or the connection is over. */
  async drained(): Promise<void> {
    if (this.over || !this.socket.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      this.socket.once("drain", resolve);
      this.#wake.push(resolve);
    });
  }

  /** Sends a head as one HEADERS frame. */
  headers(stream: number, list: readonly string[], endStream = true): void {
    this.send(
      frame(FRAME.headers, FLAG.endHeaders | (endStream ? FLAG.endStream : 0), stream, headerBlock(list)),
    );
  }

  /** True when the connection has ended or the peer has said that it will. */
  get over(): boolean {
    return this.#closed || this.#goaway !== undefined;
  }

  /** Resolves with the code of the GOAWAY when the connection is closed; -1: there was none. */
  async closed(): Promise<number> {
    while (!this.#closed) await this.#more();
    return this.#goaway ?? -1;
  }

  /** Resolves when this stream, or the connection, has ended. */
  async outcome(stream: number): Promise<Http2Outcome> {
    for (;;) {
      const outcome = this.#stream(stream);
      if (outcome.end !== "closed") return outcome;
      if (this.#goaway !== undefined && this.#goaway !== 0) {
        return { ...outcome, end: "goaway", code: this.#goaway };
      }
      if (this.#closed) return outcome;
      await this.#more();
    }
  }

  /** Resolves when the peer has acknowledged a PING, which shows that all before it was read; false: over before. */
  async pinged(): Promise<boolean> {
    const before = this.seen.get(FRAME.ping) ?? 0;
    this.send(frame(FRAME.ping, 0, 0, "pingping"));
    while ((this.seen.get(FRAME.ping) ?? 0) === before && !this.over) await this.#more();
    return !this.over;
  }

  close(): void {
    this.socket.destroy();
  }

  #stream(id: number): Http2Outcome {
    let stream = this.#streams.get(id);
    if (stream === undefined) this.#streams.set(id, stream = { status: 0, body: "", end: "closed", code: 0 });
    return stream;
  }

  #received(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= 9) {
      const size = 9 + this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < size) break;
      const [type, flags] = [this.#bytes[3]!, this.#bytes[4]!];
      this.#frame(type, flags, this.#bytes.readUInt32BE(5), this.#bytes.subarray(9, size));
      this.#bytes = this.#bytes.subarray(size);
    }
    this.#tell();
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    this.seen.set(type, (this.seen.get(type) ?? 0) + 1);
    if (type === FRAME.settings && (flags & FLAG.ack) === 0) this.send(frame(FRAME.settings, FLAG.ack, 0));
    if (type === FRAME.goaway) this.#goaway ??= payload.readUInt32BE(4);
    if (id === 0) return;
    const stream = this.#stream(id);
    if (type === FRAME.headers && stream.status < 200) stream.status = statusOf(payload);
    if (type === FRAME.data) stream.body += payload.toString("latin1");
    if (type === FRAME.reset && stream.end === "closed") {
      stream.end = "reset";
      stream.code = payload.readUInt32BE(0);
    }
    const ends = (type === FRAME.headers || type === FRAME.data) && (flags & FLAG.endStream) !== 0;
    if (ends && stream.end === "closed") stream.end = "response";
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #over(): void {
    this.#closed = true;
    this.#tell();
  }
}

/** Entries 8 to 14 of the static table (RFC 7541 appendix A). */
const STATIC_STATUS = [200, 204, 206, 304, 400, 404, 500];

/** The status at the front of a header block: an entry of the static table, or a literal, Huffman-coded or not. */
function statusOf(block: Buffer): number {
  let at = 0;
  while ((block[at]! & 0xe0) === 0x20) at += 1; // A new size of the table.
  const first = block[at]!;
  if ((first & 0x80) !== 0) return STATIC_STATUS[(first & 0x7f) - 8]!;
  const size = block[at + 1]! & 0x7f;
  const value = block.subarray(at + 2, at + 2 + size);
  if ((block[at + 1]! & 0x80) === 0) return Number(value.toString("latin1"));
  let bits = "";
  for (const byte of value) bits += byte.toString(2).padStart(8, "0");
  // RFC 7541 appendix B: 0 to 2 have five bits, 3 to 9 have six.
  let text = "";
  for (let i = 0; text.length < 3;) {
    const short = parseInt(bits.slice(i, i + 5), 2);
    if (short <= 2) {
      text += short;
      i += 5;
    } else {
      text += parseInt(bits.slice(i, i + 6), 2) - 0b011001 + 3;
      i += 6;
    }
  }
  return Number(text);
}
