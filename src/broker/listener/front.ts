import { Buffer } from "node:buffer";
import type { Socket } from "node:net";

/** What a parser of the first bytes of a connection says of those it has been shown. */
export type FrontStep<T> =
  /** Not decidable before `need` bytes are there (counted from the start of the connection). */
  | { readonly state: "more"; readonly need: number }
  /** Read: `value`, and how many bytes it took; 0 when it only looked. */
  | { readonly state: "complete"; readonly value: T; readonly consumed: number }
  | { readonly state: "error"; readonly reason: string };

/** How a look at the front of a connection went. */
export type FrontOutcome<T> =
  | { readonly ok: true; readonly value: T }
  /** `gone`: closed or failed before enough was there. */
  | { readonly ok: false; readonly reason: string; readonly gone: boolean };

/**
 * Reads the first bytes of a socket until `parse` is satisfied, then gives everything beyond what it consumed back
 * with `unshift` and leaves the socket paused and without any listener or timer of ours, as if untouched.
 * Calls `done` exactly once. It gives up, with `ok: false`, when `timeoutMs` pass, when `parse` wants more than
 * `limit` bytes, or when the socket ends. Returns the way to stop early, which calls nothing.
 */
export function readFront<T>(
  socket: Socket,
  { parse, limit, timeoutMs }: {
    parse: (bytes: Uint8Array) => FrontStep<T>;
    limit: number;
    timeoutMs: number;
  },
  done: (outcome: FrontOutcome<T>) => void,
): () => void {
  let seen: Buffer | undefined;
  let length = 0;
  let need = 1;

  const stop = () => {
    clearTimeout(timer);
    socket.off("data", onData).off("error", onGone).off("end", onGone).off("close", onGone);
    socket.pause();
  };
  const fail = (reason: string, gone: boolean) => {
    stop();
    done({ ok: false, reason, gone });
  };
  const onGone = () => fail("closed", true);
  const timer = setTimeout(() => fail("timeout", false), timeoutMs);

  const onData = (chunk: Buffer) => {
    // The usual case is one packet: look at it where it lies. Pieces are gathered in a buffer that doubles, so that
    // a peer who sends single bytes cannot make us copy quadratically.
    if (seen === undefined) seen = chunk;
    else {
      if (length + chunk.length > seen.length) {
        const grown = Buffer.allocUnsafe(Math.max(1024, 2 * (length + chunk.length)));
        seen.copy(grown, 0, 0, length);
        seen = grown;
      }
      chunk.copy(seen, length);
    }
    length += chunk.length;
    if (length < need) return;
    const bytes = seen.subarray(0, length);
    const step = parse(bytes);
    if (step.state === "error") return fail(step.reason, false);
    if (step.state === "more") {
      if (step.need > limit) return fail("too long", false);
      need = step.need;
      return;
    }
    stop();
    if (step.consumed < length) socket.unshift(bytes.subarray(step.consumed));
    done({ ok: true, value: step.value });
  };

  socket.on("data", onData).on("error", onGone).on("end", onGone).on("close", onGone);
  // A socket that was paused by the reader before this one does not start by itself.
  socket.resume();
  return stop;
}
