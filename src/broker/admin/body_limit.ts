import { createMiddleware } from "hono/factory";
import type { AdminEnv } from "./deps.ts";
import { AdminRequestError } from "./errors.ts";

/**
 * Middleware that refuses a body of more than `maxBytes` (`body_too_large`) before it is read, or, where its length
 * was not said, as soon as it has become so long. Hono's own rebuilds the request, which cannot be done with those of
 * @hono/node-server while the global objects stay as they are.
 */
export function limitBody(maxBytes: number) {
  return createMiddleware<AdminEnv>(async (c, next) => {
    const said = c.req.header("content-length");
    if (said !== undefined && c.req.header("transfer-encoding") === undefined) {
      if (Number(said) > maxBytes) throw tooLarge(maxBytes);
    } else if (c.req.raw.body !== null) {
      const body = await readUpTo(c.req.raw.body, maxBytes);
      // What Hono keeps there is a promise, whatever its type says.
      Object.assign(c.req.bodyCache, { arrayBuffer: Promise.resolve(body.buffer) });
    }
    await next();
  });
}

/** All bytes of a stream, in a buffer of their own. */
async function readUpTo(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length;
    if (length > maxBytes) {
      reader.cancel().catch(() => {});
      throw tooLarge(maxBytes);
    }
    chunks.push(read.value);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}

function tooLarge(maxBytes: number): AdminRequestError {
  return new AdminRequestError("body_too_large", `The body is larger than ${maxBytes} bytes`);
}
