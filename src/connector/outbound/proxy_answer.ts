import type { Socket } from "node:net";

/** What a proxy says to CONNECT. */
export interface ProxyAnswer {
  status: number;
  /** Names of the ways to say who one is that it offers, e.g. `Basic, Negotiate`; `none` where it names none. */
  schemes: string;
}

/** Bytes of the longest answer head that is read. */
const MOST_BYTES = 16_384;

/**
 * Reads the head of a proxy's answer, and leaves the socket without listeners of ours, as it was. Rejects with `RangeError`
 * where it is too long or not HTTP, or where bytes of the other side follow before we have said anything.
 */
export function readAnswer(socket: Socket): Promise<ProxyAnswer> {
  return new Promise((resolve, reject) => {
    let text = "";
    const onReadable = (): void => {
      // A byte is a character here, so that lengths are of bytes.
      for (let bytes: Buffer | null; (bytes = socket.read()) !== null;) text += bytes.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      if (end === -1 && text.length <= MOST_BYTES) return;
      socket.off("readable", onReadable);
      try {
        if (end === -1 || end > MOST_BYTES) {
          throw new RangeError(`its answer is longer than ${MOST_BYTES} bytes`);
        }
        const answer = parseAnswer(text.slice(0, end));
        if (answer.status >= 200 && answer.status <= 299 && text.length > end + 4) {
          throw new RangeError("it sends bytes before anything was said through it");
        }
        resolve(answer);
      } catch (error) {
        reject(error);
      }
    };
    socket.on("readable", onReadable);
  });
}

/** The head of an answer, without the empty line at its end. Throws `RangeError`. */
export function parseAnswer(head: string): ProxyAnswer {
  const [first = "", ...fields] = head.split("\r\n");
  const match = /^HTTP\/1\.[01] ([0-9]{3})(?: .*)?$/.exec(first);
  if (match === null) throw new RangeError("its answer is not HTTP");
  const schemes = fields.flatMap((line) =>
    /^proxy-authenticate:[ \t]*([A-Za-z0-9-]{1,32})/i.exec(line)?.[1] ?? []
  );
  return { status: Number(match[1]), schemes: schemes.slice(0, 8).join(", ") || "none" };
}
