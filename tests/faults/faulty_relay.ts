import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TcpRelay } from "../support/tcp_relay.ts";

/** What a direction does to the bytes that it carries; one that is left out does not happen. */
export interface Trouble {
  /** Nothing is carried any more, and the connection stays. */
  hole?: boolean;
  /** Each byte comes so much later, milliseconds. */
  delayMs?: number;
  /** Bytes a second that get through. */
  bytesPerSecond?: number;
  /** The first so many bytes of each piece are sent one by one. */
  singles?: number;
  /** A bit of so many of the next pieces is turned over. */
  corrupt?: number;
  /** Only half of the next piece is carried, then the direction ends. */
  truncate?: boolean;
}

const QUEUE_BYTES = 256 * 1024;
/** How often a throttled direction carries something. */
const TURNS_PER_SECOND = 50;

/** One direction of one connection. */
class Direction {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #trouble: Trouble;
  readonly #onTouched: (bytes: number) => void;
  readonly #queue: { bytes: Buffer; dueMs: number }[] = [];
  #queued = 0;
  #freeAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(from: Socket, to: Socket, trouble: Trouble, onTouched: (bytes: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#trouble = trouble;
    this.#onTouched = onTouched;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => {
      this.#hasEnded = true;
      this.#pump();
    });
    to.on("drain", () => this.#pump());
    to.on("close", () => clearTimeout(this.#timer));
  }

  /** Sends FIN, now. */
  end(): void {
    this.#to.end();
  }

  #take(bytes: Buffer): void {
    const trouble = this.#trouble;
    let carried = bytes;
    if (trouble.hole) return this.#onTouched(bytes.length);
    if ((trouble.corrupt ?? 0) > 0) {
      trouble.corrupt! -= 1;
      carried = Buffer.from(bytes);
      const at = carried.length - 1;
      carried[at] = carried[at]! ^ 1;
      this.#onTouched(1);
    }
    if (trouble.truncate) {
      trouble.truncate = false;
      carried = bytes.subarray(0, bytes.length >> 1);
      this.#onTouched(bytes.length - carried.length);
      this.#hasEnded = true;
    }
    if (trouble.delayMs || trouble.bytesPerSecond || trouble.singles) this.#onTouched(carried.length);
    const dueMs = performance.now() + (trouble.delayMs ?? 0);
    // A narrow link is steady: it does not carry a large piece at once and then nothing for long.
    const most = Math.ceil((trouble.bytesPerSecond ?? Number.POSITIVE_INFINITY) / TURNS_PER_SECOND);
    for (let at = 0; at < carried.length; at += most) {
      this.#queue.push({ bytes: carried.subarray(at, at + most), dueMs });
    }
    this.#queued += carried.length;
    if (this.#queued > QUEUE_BYTES) this.#from.pause();
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const { singles = 0, bytesPerSecond = 0 } = this.#trouble;
    while (this.#queue.length > 0 && !this.#to.writableNeedDrain && !this.#to.destroyed) {
      const { bytes, dueMs } = this.#queue[0]!;
      const now = performance.now();
      const wait = Math.max(dueMs, this.#freeAtMs) - now;
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#pump(), wait);
        return;
      }
      this.#queue.shift();
      this.#queued -= bytes.length;
      for (let i = 0; i < Math.min(singles, bytes.length); i++) this.#to.write(bytes.subarray(i, i + 1));
      if (bytes.length > singles) this.#to.write(bytes.subarray(singles));
      if (bytesPerSecond > 0) {
        this.#freeAtMs = Math.max(now, this.#freeAtMs) + bytes.length * 1_000 / bytesPerSecond;
      }
    }
    if (this.#queued <= QUEUE_BYTES && this.#from.isPaused()) this.#from.resume();
    if (this.#hasEnded && this.#queue.length === 0) this.#to.end();
  }
}

/** A TCP relay that can do to its connections whatever networks do. `up` is towards the target. */
export class FaultyRelay implements TcpRelay {
  /** What happens from now on, to connections that are open and to new ones. */
  readonly up: Trouble = {};
  readonly down: Trouble = {};
  /** Bytes that one of the troubles was done to. */
  touched = 0;
  target = 0;
  accepted = 0;
  bytesUp = 0;
  bytesDown = 0;
  readonly #server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => this.#accept(client));
  readonly #pairs = new Set<{ client: Socket; far: Socket; up: Direction; down: Direction }>();

  static async start(): Promise<FaultyRelay> {
    const relay = new FaultyRelay();
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** All is as it should be again. */
  heal(): void {
    for (const trouble of [this.up, this.down]) {
      for (const key of Object.keys(trouble)) delete trouble[key as keyof Trouble];
    }
  }

  cut(): void {
    for (const { client, far } of this.#pairs) {
      client.destroy();
      far.destroy();
    }
  }

  /** Ends all connections by RST, to both sides. */
  reset(): void {
    for (const { client, far } of this.#pairs) {
      this.touched += 1;
      client.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Sends FIN one way; what comes the other way is still carried. */
  halfClose(way: "up" | "down"): void {
    for (const pair of this.#pairs) {
      this.touched += 1;
      pair[way].end();
    }
  }

  silence(): void {
    for (const { client, far } of this.#pairs) {
      client.removeAllListeners("data").pause();
      far.removeAllListeners("data").pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }

  #accept(client: Socket): void {
    this.accepted += 1;
    client.on("error", () => {});
    if (this.target === 0) return void client.destroy();
    const far = connect({ host: "127.0.0.1", port: this.target, noDelay: true, allowHalfOpen: true });
    far.on("error", () => {});
    client.on("data", (bytes: Buffer) => this.bytesUp += bytes.length);
    far.on("data", (bytes: Buffer) => this.bytesDown += bytes.length);
    const touched = (bytes: number): void => void (this.touched += bytes);
    const pair = {
      client,
      far,
      up: new Direction(client, far, this.up, touched),
      down: new Direction(far, client, this.down, touched),
    };
    this.#pairs.add(pair);
    client.on("close", () => far.destroy());
    far.on("close", () => {
      client.destroy();
      this.#pairs.delete(pair);
    });
  }
}
