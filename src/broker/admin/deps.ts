import type { IncomingMessage } from "node:http";
import type { Log } from "../../platform/log.ts";
import type { Metrics } from "../metrics/port.ts";
import type { Actor, Settings, Timestamp } from "../model.ts";
import type { Store } from "../store/port.ts";
import type { LiveConnectors } from "./live.ts";

/** What every enrolment token says beside its secret. */
export interface TokenFacts {
  /** Where connectors dial: `host:port`. */
  brokerAddress: string;
  tunnelName: string;
  enrolName: string;
  /** SHA-256 of the root CA certificate (DER), lower-case hex. */
  caFingerprint: string;
}

/** What the admin API stands on. */
export interface AdminDeps {
  store: Store;
  live: LiveConnectors;
  metrics: Metrics;
  tokenFacts: TokenFacts;
  clock: { now(): Timestamp };
  /** Milliseconds without a tunnel after which a connector counts as inactive. */
  inactiveAfterMs?: number;
  /** What this broker goes by of what nobody has set; by default a new store's settings. */
  configured?: Pick<Settings, "logLevel" | "sessionLog">;
  /** What users lack to open an external URL, each a sentence. */
  missingForUsers?: (externalUrl: string) => string[];
  /** Resolves when this process serves by all that the store has told so far; absent: answers wait for nothing. */
  inForce?: () => Promise<void>;
  log: Log;
}

/** What Hono carries along with each request. */
export interface AdminEnv {
  /** Absent when a test calls `app.request` without a socket. */
  Bindings: { incoming?: IncomingMessage };
  Variables: {
    requestId: string;
    /** Set once the bearer token has been checked. */
    actor: Actor;
  };
}
