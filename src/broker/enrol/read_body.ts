import { ENROLMENT_BODY_LIMIT } from "../../protocol/enrolment.ts";
import { EnrolmentRefusal } from "./errors.ts";

/** Milliseconds that the body of an enrolment request may take. */
const BODY_TIMEOUT_MS = 10_000;

/**
 * Reads a JSON body of bounded size in bounded time; what is too large is never buffered. Throws `EnrolmentRefusal`
 * `request_too_large` or `request_invalid`.
 */
export async function readJsonBody(request: Request, timeoutMs = BODY_TIMEOUT_MS): Promise<unknown> {
  const tooLarge = () =>
    new EnrolmentRefusal(
      "request_too_large",
      413,
      `Cannot read request: it is larger than ${ENROLMENT_BODY_LIMIT} bytes`,
    );
  if (Number(request.headers.get("content-length") ?? 0) > ENROLMENT_BODY_LIMIT) throw tooLarge();
  const reader = request.body?.getReader();
  if (reader === undefined) {
    throw new EnrolmentRefusal("request_invalid", 400, "Cannot read request: it has no body");
  }

  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    reader.cancel().catch(() => {});
  }, timeoutMs);
  try {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      length += part.value.length;
      if (length > ENROLMENT_BODY_LIMIT) throw tooLarge();
      chunks.push(part.value);
    }
    if (expired) {
      throw new EnrolmentRefusal("request_invalid", 408, "Cannot read request: its body took too long");
    }
    return parseJson(Buffer.concat(chunks));
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new EnrolmentRefusal("request_invalid", 400, "Cannot read request: it is not JSON", { cause });
  }
}
