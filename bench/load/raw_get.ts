import { connect, type Socket } from "node:net";

/** Reads of this size cost the least; the bytes are counted and dropped. */
const READ_BYTES = 256 * 1024;

/** Called with each piece of the response; false pauses until `socket.resume()`. */
export type Reader = (bytes: Uint8Array) => boolean;

/** A socket to `url` whose data goes to `read` through one fixed buffer, so that counting costs next to nothing. */
export function openSocket(url: URL, read: Reader, bufferBytes: number = READ_BYTES): Socket {
  return connect({
    host: url.hostname,
    port: Number(url.port),
    noDelay: true,
    onread: {
      buffer: new Uint8Array(bufferBytes),
      callback: (length, buffer) => read(buffer.subarray(0, length)),
    },
  });
}

/** The head of a request that ends its connection. */
export function requestHead(method: string, url: URL, headers = ""): string {
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n${headers}Connection: close\r\n\r\n`;
}

/** The status in the first line of a response; throws unless it is 200. */
export function expectOk(head: string): void {
  if (!/^HTTP\/1\.1 200 /.test(head)) throw new Error(`answered "${head.slice(0, 300)}"`);
}
