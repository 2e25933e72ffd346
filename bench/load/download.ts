import { expectOk, openSocket, requestHead } from "./raw_get.ts";

/** Downloads one after another on each of several connections, for a while. */
export interface DownloadOptions {
  url: string;
  /** Bytes of the body, which must all arrive. */
  bytes: number;
  /** Downloads at once. */
  clients: number;
  /** Start no further download after this many milliseconds; 0 for one each. */
  forMs: number;
}

/** What was moved, in how long. */
export interface Moved {
  bytes: number;
  ms: number;
}

/** Runs downloads; rejects when one is not complete. */
export async function download({ url, bytes, clients, forMs }: DownloadOptions): Promise<Moved> {
  const started = performance.now();
  let moved = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    do {
      await one(new URL(url), bytes);
      moved += bytes;
    } while (performance.now() - started < forMs);
  }));
  return { bytes: moved, ms: performance.now() - started };
}

function one(url: URL, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    let head = "";
    const socket = openSocket(url, (piece) => {
      if (head === "") head = new TextDecoder("latin1").decode(piece.subarray(0, 1024));
      received += piece.length;
      return true;
    });
    socket.once("connect", () => socket.write(requestHead("GET", url)));
    socket.once("error", reject);
    socket.once("close", () => {
      try {
        expectOk(head);
      } catch (error) {
        return reject(error);
      }
      if (received >= bytes) resolve();
      else reject(new Error(`${received} of ${bytes} bytes came`));
    });
  });
}
