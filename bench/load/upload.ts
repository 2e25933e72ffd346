import type { Moved } from "./download.ts";
import { expectOk, openSocket, requestHead } from "./raw_get.ts";

/** Uploads one after another on one connection each, for a while. */
export interface UploadOptions {
  url: string;
  /** Bytes of each body; the backend says in `X-Received` how many it read. */
  bytes: number;
  /** Start no further upload after this many milliseconds; 0 for one. */
  forMs: number;
}

const PIECE = new Uint8Array(256 * 1024);

/** Runs uploads; rejects unless the backend has read all of each. */
export async function upload({ url, bytes, forMs }: UploadOptions): Promise<Moved> {
  const started = performance.now();
  let moved = 0;
  do {
    await one(new URL(url), bytes);
    moved += bytes;
  } while (performance.now() - started < forMs);
  return { bytes: moved, ms: performance.now() - started };
}

function one(url: URL, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = "";
    let left = bytes;
    const socket = openSocket(url, (piece) => {
      answer += new TextDecoder("latin1").decode(piece);
      return true;
    });
    const send = () => {
      while (left > 0) {
        const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
        left -= piece.length;
        if (!socket.write(piece)) return;
      }
    };
    socket.once("connect", () => {
      socket.write(requestHead("PUT", url, `Content-Length: ${bytes}\r\n`));
      send();
    });
    socket.on("drain", send);
    socket.once("error", reject);
    socket.once("close", () => {
      try {
        expectOk(answer);
        const read = Number(/^x-received: (\d+)/im.exec(answer)?.[1] ?? 0);
        if (read < bytes) throw new Error(`the backend read ${read} of ${bytes} bytes`);
        resolve();
      } catch (error) {
        reject(error);
      }
    });
  });
}
