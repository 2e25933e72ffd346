import type { Secret } from "../../platform/secret.ts";
import { flagOfField } from "./flag_of_field.ts";
import { AdminApiError, CommandError } from "./errors.ts";

/** How long one call may take, in milliseconds. */
const CALL_TIMEOUT_MS = 30_000;
const PAGE = 1_000;

/** One page of a list, as the API answers it. */
interface ListPage<T> {
  items: T[];
  next: string | null;
}

/** The admin API as the commands use it. Answers are those of the schemas in `admin/schemas`. */
export class AdminClient {
  readonly url: string;
  readonly #token: Secret;
  readonly #flags: ReadonlySet<string>;

  /** `flags` are those of the command: a refused field is named after the one that it was made from. */
  constructor(url: string, token: Secret, flags: ReadonlySet<string> = new Set()) {
    this.url = url;
    this.#token = token;
    this.#flags = flags;
  }

  get<T>(path: string): Promise<T> {
    return this.#call("GET", path) as Promise<T>;
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.#call("POST", path, body) as Promise<T>;
  }

  patch<T>(path: string, body: unknown): Promise<T> {
    return this.#call("PATCH", path, body) as Promise<T>;
  }

  /** Null where the API has nothing to say. */
  delete<T>(path: string): Promise<T | null> {
    return this.#call("DELETE", path) as Promise<T | null>;
  }

  /** All items of a list, or the first `limit`. */
  async list<T>(path: string, limit = Infinity): Promise<T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const query = new URLSearchParams({ limit: String(Math.min(PAGE, limit - items.length)) });
      if (cursor !== null) query.set("cursor", cursor);
      const page: ListPage<T> = await this.get(`${path}${path.includes("?") ? "&" : "?"}${query}`);
      if (!Array.isArray(page.items)) throw this.#strange(`${path} is no list`);
      items.push(...page.items);
      cursor = page.next;
    } while (cursor !== null && items.length < limit);
    return items;
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.#token.reveal()}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const url = `${this.url}/api/v1/${path}`;
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        redirect: "error",
        signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      });
      text = await response.text();
    } catch (cause) {
      throw new CommandError(
        "admin_unreachable",
        `Cannot reach the admin API at "${this.url}": ${reason(cause)}`,
        {
          cause,
          retryable: true,
        },
      );
    }
    if (response.status === 204) return null;
    const answer = parseObject(text);
    if (answer === null) throw this.#strange(`status ${response.status} without a JSON object`);
    if (!response.ok) throw this.#refused(response.status, answer);
    return answer;
  }

  #refused(status: number, { code, detail, requestId }: Record<string, unknown>): Error {
    if (typeof code !== "string" || typeof detail !== "string") {
      return this.#strange(`status ${status} without a problem body`);
    }
    return new AdminApiError(code, status, inWordsOfTheCli(detail, this.#flags), String(requestId));
  }

  #strange(state: string): Error {
    const hint = "is this a Sallyport broker's admin address?";
    return new CommandError(
      "admin_answer_invalid",
      `Cannot use the answer of "${this.url}": ${state}; ${hint}`,
    );
  }
}

/** `body.externalUrls.0: ...` says where in a request that nobody at a command line has seen: the flag is named. */
function inWordsOfTheCli(detail: string, flags: ReadonlySet<string>): string {
  return detail.replace(
    /^body\.([\w.]+): /,
    (_all, field: string) =>
      `Cannot use ${flagOfField(field, flags) ?? `"${field.replace(/\.\d+$/, "")}"`}: `,
  );
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : null;
  } catch {
    return null;
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${CALL_TIMEOUT_MS} ms`;
  const { cause } = error;
  if (cause instanceof Error && "code" in cause) return String(cause.code);
  return cause instanceof Error ? cause.message : error.message;
}
