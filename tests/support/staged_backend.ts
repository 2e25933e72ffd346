import { type RawBackend, rawBackend, type RawRequest } from "./raw_backend.ts";
import { fields } from "./wire.ts";

/** A raw backend for all tests of a file: each test says how it answers. */
export interface StagedBackend extends AsyncDisposable {
  readonly raw: RawBackend;
  readonly origin: string;
  /** How requests are answered from now on; forgets those seen before. */
  answers(how: (request: RawRequest) => void): void;
  /** The last request. */
  readonly last: RawRequest;
}

/** Starts one; at first every request is answered 200. */
export async function stagedBackend(how: (request: RawRequest) => void): Promise<StagedBackend> {
  const after: (() => Promise<void>)[] = [];
  let answer = how;
  const raw = await rawBackend({ after: (fn) => void after.push(fn) }, (request) => answer(request));
  return {
    raw,
    origin: raw.origin,
    answers(next) {
      raw.requests.length = 0;
      answer = next;
    },
    get last() {
      const last = raw.requests.at(-1);
      if (last === undefined) throw new Error("Backend saw no request");
      return last;
    },
    async [Symbol.asyncDispose]() {
      for (const fn of after) await fn();
    },
  };
}

/** Request line and header list of a raw request. */
export function readHead(head: string): { line: string; headers: string[] } {
  const [line = "", ...lines] = head.trimEnd().split("\r\n");
  return { line, headers: fields(lines) };
}
