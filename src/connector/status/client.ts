import { type IncomingMessage, request as httpRequest } from "node:http";
import { StatusError } from "./errors.ts";

const MAX_BYTES = 16 * 1024 * 1024;
const ABSENT = new Set(["ENOENT", "ECONNREFUSED", "ENOTSOCK", "ENOTDIR"]);

/** Asks a running connector for its status, or with `/apps` for its apps. Throws `connector_not_running`, `status_unavailable`. */
export async function readStatus(
  path: string,
  timeoutMs = 5_000,
  question: "/" | "/apps" = "/",
): Promise<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(await get(path, timeoutMs, question));
    if (typeof value !== "object" || value === null) throw new Error("the answer is not an object");
    return value as Record<string, unknown>;
  } catch (cause) {
    const error = cause as NodeJS.ErrnoException;
    if (ABSENT.has(error.code ?? "")) {
      throw new StatusError(
        "connector_not_running",
        `Cannot read status: no connector answers at "${path}"`,
        { cause },
      );
    }
    throw new StatusError("status_unavailable", `Cannot read status at "${path}": ${error.message}`, {
      cause,
    });
  }
}

async function get(path: string, timeoutMs: number, question: string): Promise<string> {
  const request = httpRequest({ socketPath: path, path: question, agent: false });
  const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.on("error", reject);
      request.end();
    });
    let text = "";
    response.setEncoding("utf8");
    for await (const part of response) {
      text += part;
      if (text.length > MAX_BYTES) throw new Error("the answer is too long");
    }
    if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
    return text;
  } finally {
    clearTimeout(timer);
    request.destroy();
  }
}
