/** The numbers that people are promised, as they are where nobody sets anything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BROKER_CONFIGURATION } from "../../src/broker/config.ts";
import { DEFAULT_PROBE_TIMES } from "../../src/broker/tunnel/probe.ts";
import { CONNECTOR_CONFIGURATION } from "../../src/connector/config.ts";
import { loadConfiguration } from "../../src/platform/configuration.ts";
import { DEFAULT_TIMEOUTS } from "../../src/protocol/app.ts";

const SECOND = 1_000;
const DAY = 86_400 * SECOND;

test("defaults of a broker", () => {
  const values = loadConfiguration(BROKER_CONFIGURATION, { flags: {}, env: {} });
  const promised: Partial<typeof values> = {
    connectorCertificateMs: 90 * DAY,
    drainDelayMs: 0,
    drainMs: 30 * SECOND,
    inactiveAfterMs: 60 * SECOND,
    removeInactiveAfterMs: 10 * DAY,
    waitForConnectorMs: 5 * SECOND,
    waitForConnectorMax: 1_000,
    maxRequestHeadBytes: 65_536,
    maxRequestHeaders: 200,
    maxLanesPerTunnel: 16_384,
    exchangeMemoryBytes: 256 * 1024 * 1024,
    pingIntervalMs: 5 * SECOND,
    tunnelTimeoutMs: 15 * SECOND,
    probeIntervalMs: SECOND,
    probeTimeoutMs: 1_500,
    sessionLog: false,
    tunnelTlsMinVersion: "TLSv1.3",
  };
  for (const [key, value] of Object.entries(promised)) {
    assert.equal(values[key as keyof typeof values], value, key);
  }
  // Out of rotation in less than 5 s: an interval, and that many times the time for an answer.
  const { intervalMs, timeoutMs, misses } = DEFAULT_PROBE_TIMES;
  assert.deepEqual([intervalMs, timeoutMs], [values.probeIntervalMs, values.probeTimeoutMs]);
  assert.ok(intervalMs + misses * timeoutMs + 2 * 250 < 5 * SECOND);
});

test("defaults of a connector", () => {
  const values = loadConfiguration(CONNECTOR_CONFIGURATION, { flags: {}, env: {} });
  const promised: Partial<typeof values> = {
    tunnels: 1,
    brokerAddresses: [],
    configPullIntervalMs: 120 * SECOND,
    versionPollIntervalMs: 3_600 * SECOND,
    pingIntervalMs: 5 * SECOND,
    tunnelTimeoutMs: 15 * SECOND,
    drainMs: 30 * SECOND,
    exchangeMemoryBytes: 256 * 1024 * 1024,
    sessionLog: false,
  };
  for (const [key, value] of Object.entries(promised)) {
    assert.deepEqual(values[key as keyof typeof values], value, key);
  }
});

test("defaults of an app's time-outs", () => {
  const { connectMs, responseHeadMs, idleMs, totalMs } = DEFAULT_TIMEOUTS;
  assert.deepEqual([connectMs, responseHeadMs, idleMs, totalMs], [10 * SECOND, 85 * SECOND, 85 * SECOND, 0]);
});
