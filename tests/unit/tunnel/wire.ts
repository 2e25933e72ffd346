import { Duplex } from "node:stream";

type Done = (error?: Error | null) => void;
/** What waits to reach the other end; `bytes` null is the end of the stream. */
interface Pending {
  bytes: Buffer | null;
  done: Done | null;
}

/** One end of an in-memory stream whose bytes arrive when the test says so, cut where the test says. */
export class WireEnd extends Duplex {
  peer: WireEnd | null = null;
  /** Calls of `_write` and `_writev`: what would be writes to a socket. */
  writes = 0;
  readonly #pending: Pending[] = [];

  /** Bytes that have been written and have not arrived. */
  get inFlight(): number {
    return this.#pending.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
  }

  /** True when something, be it the end, has not arrived. */
  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: Done): void {
    this.writes += 1;
    this.#pending.push({ bytes: chunk, done });
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.writes += 1;
    const bytes = Buffer.concat(chunks.map(({ chunk }) => chunk));
    this.#pending.push({ bytes, done });
  }

  override _final(done: Done): void {
    this.#pending.push({ bytes: null, done });
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#pending.length = 0;
    const { peer } = this;
    if (peer !== null && !peer.destroyed) setImmediate(() => peer.destroy());
    done(error);
  }

  /** Lets at most `most` bytes arrive at the peer, in one piece. */
  deliver(most: number = Infinity): void {
    const bytes = this.pull(most);
    if (bytes.length > 0) this.peer?.push(bytes);
    if (this.#pending[0]?.bytes === null) {
      const { done } = this.#pending.shift()!;
      this.peer?.push(null);
      done?.();
    }
  }

  /** Takes at most `most` bytes off the wire as one copy: the peer sees nothing of them. */
  pull(most: number = Infinity): Buffer {
    const pieces: Buffer[] = [];
    let room = most;
    while (room > 0 && this.#pending.length > 0 && this.#pending[0]!.bytes !== null) {
      const first = this.#pending[0]!;
      const bytes = first.bytes!;
      if (bytes.length > room) {
        pieces.push(bytes.subarray(0, room));
        first.bytes = bytes.subarray(room);
        break;
      }
      pieces.push(bytes);
      room -= bytes.length;
      this.#pending.shift();
      first.done?.();
    }
    return Buffer.concat(pieces);
  }
}

/** Two ends of one wire. */
export function wire(): { broker: WireEnd; connector: WireEnd } {
  const broker = new WireEnd();
  const connector = new WireEnd();
  broker.peer = connector;
  connector.peer = broker;
  return { broker, connector };
}

/** Lets everything that is due in this turn of the event loop happen. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Delivers both ways until nothing moves any more. */
export async function settle(...ends: WireEnd[]): Promise<void> {
  for (let quiet = 0; quiet < 2;) {
    await turn();
    quiet += 1;
    for (const end of ends) {
      if (!end.hasPending) continue;
      quiet = 0;
      end.deliver();
    }
  }
}
