import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Hono } from "hono";
import { createAdminToken } from "../../src/broker/admin/admin_token.ts";
import { createAdminApp } from "../../src/broker/admin/app.ts";
import type { AdminDeps, AdminEnv } from "../../src/broker/admin/deps.ts";
import type { LiveConnectors, LiveTunnel, Readiness } from "../../src/broker/admin/live.ts";
import { DataPlaneCounters } from "../../src/broker/metrics/counters.ts";
import { createMetrics } from "../../src/broker/metrics/prometheus.ts";
import type { Store } from "../../src/broker/store/port.ts";
import { silentLog } from "../../src/platform/log.ts";
import { ADMIN, type ManualClock, temporaryStore } from "./store_fixture.ts";

/** What the tokens made in tests say of the broker. */
export const TOKEN_FACTS = {
  brokerAddress: "broker.example.com:443",
  tunnelName: "tunnel.example.com",
  enrolName: "enrol.example.com",
  caFingerprint: "ab".repeat(32),
};

/** Tunnels and readiness as a test sets them. */
export class LiveTable implements LiveConnectors {
  readonly connected = new Map<string, LiveTunnel[]>();
  readiness: Readiness = { ready: true, reasons: [] };

  tunnels(connectorId: string): readonly LiveTunnel[] {
    return this.connected.get(connectorId) ?? [];
  }

  appsOutOfReach(): readonly string[] {
    return [];
  }

  ready(): Readiness {
    return this.readiness;
  }
}

/** An answer of the API, read. */
export interface AdminAnswer {
  status: number;
  headers: Headers;
  // deno-lint-ignore no-explicit-any -- tests look into bodies of many shapes
  body: any;
}

/** The admin application on a real store, with a live token. */
export interface AdminFixture {
  app: Hono<AdminEnv>;
  store: Store;
  clock: ManualClock;
  live: LiveTable;
  token: string;
  /** A request below `/api/v1/` with the token, and a JSON body where one is given. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<AdminAnswer>;
}

/** Makes all of it, gone after the test. */
export async function adminFixture(t: TestContext, more: Partial<AdminDeps> = {}): Promise<AdminFixture> {
  const { store, clock } = await temporaryStore(t);
  const live = new LiveTable();
  const metrics = createMetrics({ counters: new DataPlaneCounters(), processMetrics: false });
  const app = createAdminApp({
    store,
    live,
    metrics,
    tokenFacts: TOKEN_FACTS,
    clock,
    log: silentLog,
    ...more,
  });
  const { token, sha256 } = createAdminToken();
  await store.createAdminToken(ADMIN, "test", sha256);
  return {
    app,
    store,
    clock,
    live,
    token,
    call: async (method, path, body, headers = {}) => {
      const response = await app.request(`/api/v1/${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${token}`,
          ...body === undefined ? {} : { "Content-Type": "application/json" },
          ...headers,
        },
        body: body === undefined ? null : JSON.stringify(body),
      });
      return await readAnswer(response);
    },
  };
}

/** Status, headers and JSON body of a response. */
export async function readAnswer(response: Response): Promise<AdminAnswer> {
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
}

/** Asserts that an answer is a problem body (RFC 9457) with this status and code. */
export function assertProblem(answer: AdminAnswer, status: number, code: string): void {
  assert.equal(answer.body?.code, code, JSON.stringify(answer.body));
  assert.equal(answer.status, status);
  assert.equal(answer.body.status, status);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.body.type, `urn:sallyport:error:${code}`);
  assert.ok(answer.body.requestId.length > 10);
  assert.equal(answer.headers.get("x-request-id"), answer.body.requestId);
}
