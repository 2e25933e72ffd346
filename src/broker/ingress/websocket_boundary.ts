/** Lengths in a frame's second byte that say how many bytes of length follow (RFC 6455 section 5.2). */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const MASKED = 0x80;
const MASK_BYTES = 4;
const CLOSE = 0x8;

/** A close frame of a server: 1012, "service restart" (the IANA registry of close codes). */
export const SERVICE_RESTART: Uint8Array = Uint8Array.of(0x88, 0x02, 0x03, 0xf4);

/** Follows the frames of a WebSocket by their lengths alone, to know where one could be put between two others. */
export class WebsocketBoundary {
  /** Bytes of the current frame that are still to come, beyond what is in `#header`. */
  #missing = 0;
  /** The beginning of a frame that came in pieces. */
  readonly #header: number[] = [];
  #hasClosed = false;

  /** True between two frames, of which none was the last. */
  get isOpen(): boolean {
    return this.#missing === 0 && this.#header.length === 0 && !this.#hasClosed;
  }

  /** Bytes have passed. */
  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, bytes.length - at);
        this.#missing -= taken;
        at += taken;
      } else {
        this.#header.push(bytes[at]!);
        at += 1;
        this.#begin();
      }
    }
  }

  /** Reads the frame's head once all of it is there. */
  #begin(): void {
    const head = this.#header;
    if (head.length < 2) return;
    const short = head[1]! & 0x7f;
    const lengthBytes = short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0;
    if (head.length < 2 + lengthBytes) return;
    let length = lengthBytes === 0 ? short : 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + head[2 + i]!;
    this.#missing = length + ((head[1]! & MASKED) === 0 ? 0 : MASK_BYTES);
    if ((head[0]! & 0x0f) === CLOSE) this.#hasClosed = true;
    head.length = 0;
  }
}
