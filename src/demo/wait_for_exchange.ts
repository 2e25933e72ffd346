import { get, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { DemoError } from "./errors.ts";

/** How often, how far apart and how long each try may take, in milliseconds. */
const TRIES = 100;
const PAUSE_MS = 100;
const TRY_MS = 10_000;

/** How long an application may take to start, in milliseconds, once it is known that all else works. */
const APPLICATION_MS = 10_000;

/** What to do where the tunnel works and the application behind it does not; by code, the first that it begins with. */
const CURES: readonly [string, string][] = [
  ["backend_tls", "its certificate is not trusted: give --insecure to accept any"],
  ["backend_bad_response", "it does not speak HTTP there: check the port, and http:// or https://"],
  ["backend_unreachable", "its name is not known or there is no way to it: check the URL"],
  ["backend_", "start it, then the demo; check host and port"],
];

/** The type of the error pages that the broker itself writes for clients that ask for it (RFC 9457). */
const PROBLEM = "application/problem+json";

/**
 * Resolves when a request to `url` was answered by the application behind it, whatever the status, rather than by the
 * broker. Bounded tries; the last answer is in the error, or what is wrong with the application: `application`, as the
 * person who reads it knows it.
 */
export async function waitForExchange(
  url: string,
  signal?: AbortSignal,
  application?: string,
): Promise<void> {
  let last = "no answer";
  let patience: number | undefined;
  for (let tries = 0; tries < TRIES; tries++) {
    signal?.throwIfAborted();
    try {
      const { response, body } = await fetchOnce(url, signal);
      if (!response.headers["content-type"]?.startsWith(PROBLEM)) return;
      last = `${response.statusCode} ${body}`;
      const code = codeOf(body);
      if (application !== undefined && code.startsWith("backend_")) {
        patience ??= performance.now() + APPLICATION_MS;
        if (code.startsWith("backend_tls") || performance.now() > patience) {
          const [, cure] = CURES.find(([prefix]) => code.startsWith(prefix))!;
          last = `the tunnel works, but not the application "${application}" (${code}): ${cure}`;
          break;
        }
      }
    } catch (error) {
      last = String(error);
    }
    await delay(PAUSE_MS, undefined, { signal });
  }
  throw new DemoError("demo_no_exchange", `Cannot get an exchange through at "${url}": ${last}`);
}

function codeOf(body: string): string {
  try {
    return String((JSON.parse(body) as { code?: unknown }).code);
  } catch {
    return "";
  }
}

function fetchOnce(url: string, signal?: AbortSignal): Promise<{ response: IncomingMessage; body: string }> {
  const timeout = AbortSignal.timeout(TRY_MS);
  return new Promise((resolve, reject) => {
    const request = get(url, {
      agent: false,
      headers: { accept: `${PROBLEM}, */*;q=0.1` },
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (body.length < 2_000) body += chunk;
      });
      response.once("error", reject);
      response.once("end", () => resolve({ response, body }));
      // A page may be a stream without an end: its head has come, which is all that was asked.
      if (!response.headers["content-type"]?.startsWith(PROBLEM)) {
        resolve({ response, body });
        response.destroy();
      }
    });
    request.once("error", reject);
  });
}
