import { DemoError } from "./errors.ts";

/** An app to publish. */
export interface Publication {
  name: string;
  externalUrl: string;
  internalUrl: string;
  /** Further fields of the admin API's app. */
  settings?: Readonly<Record<string, unknown>>;
}

/** The few calls of the admin API that starting a demo, a benchmark or a test takes. */
export interface AdminClient {
  /** A JSON request under `/api/v1`; anything but 2xx is a `DemoError` with the problem's own text. */
  request(method: string, path: string, body?: unknown): Promise<unknown>;
  /** A new enrolment token for the default group. */
  enrolmentToken(settings?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Publishes an app in the default group; its id. */
  publish(app: Publication): Promise<string>;
  /** All connectors, as the API lists them. */
  connectors(): Promise<readonly Record<string, unknown>[]>;
}

/** How long one call may take, in milliseconds. */
const CALL_MS = 30_000;

/** A client of the admin API at `url` with a bearer token. */
export function adminClient(url: string, token: string): AdminClient {
  async function request(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(new URL(`/api/v1/${path}`, url), {
      method,
      headers: {
        // A broker that stood still, or was started anew, may just be closing a connection that was kept.
        connection: "close",
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(CALL_MS),
    });
    const text = await response.text();
    if (!response.ok) {
      throw new DemoError("demo_admin_refused", `Cannot ${method} ${path}: ${response.status} ${text}`, {
        details: { method, path, status: response.status },
      });
    }
    return text === "" ? null : JSON.parse(text);
  }

  return {
    request,
    async enrolmentToken(settings = {}) {
      const { token } = await request("POST", "enrolment-tokens", settings) as { token: string };
      return token;
    },
    async publish({ name, externalUrl, internalUrl, settings }) {
      const app = { name, groupId: "default", externalUrls: [externalUrl], internalUrl, ...settings };
      const { id } = await request("POST", "apps", app) as { id: string };
      return id;
    },
    async connectors() {
      const { items } = await request("GET", "connectors") as { items: Record<string, unknown>[] };
      return items;
    },
  };
}
