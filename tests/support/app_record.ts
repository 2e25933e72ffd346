import { DEFAULT_TRAFFIC } from "../../src/broker/app_traffic.ts";
import type { App } from "../../src/broker/model.ts";
import { DEFAULT_BACKEND_TLS, DEFAULT_TIMEOUTS } from "../../src/protocol/app.ts";

/** An app as the store would give it, with what a test does not care about filled in. */
export function appRecord(app: Partial<App> & { id: string; externalUrls: readonly string[] }): App {
  return {
    version: 1,
    createdAt: 0,
    updatedAt: 0,
    name: app.id,
    groupId: "default",
    internalUrl: "http://10.0.0.5:8080",
    enabled: true,
    hostHeader: "backend",
    timeouts: DEFAULT_TIMEOUTS,
    backendTls: DEFAULT_BACKEND_TLS,
    ...DEFAULT_TRAFFIC,
    revision: 1,
    ...app,
  };
}
