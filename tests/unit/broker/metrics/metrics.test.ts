import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  DataPlaneCounters,
  DURATION_BOUNDS_MS,
  MAX_ERROR_CODES,
  OTHER_CODE,
} from "../../../../src/broker/metrics/counters.ts";
import { DURATION_METRIC, METRICS } from "../../../../src/broker/metrics/definitions.ts";
import { createMetrics } from "../../../../src/broker/metrics/prometheus.ts";

async function scrape(counters: DataPlaneCounters): Promise<string[]> {
  return (await createMetrics({ counters, processMetrics: false }).render()).split("\n");
}

test("counters: an exchange is counted by class, duration and bytes, and is in flight until it ends", async () => {
  const counters = new DataPlaneCounters();
  counters.started();
  counters.started();
  counters.started();
  counters.finished(204, 3, 10, 20);
  counters.finished(0, 70_000, 1, 2);
  const lines = await scrape(counters);
  for (
    const line of [
      'sallyport_exchanges_total{status="2xx"} 1',
      'sallyport_exchanges_total{status="none"} 1',
      'sallyport_exchanges_total{status="5xx"} 0',
      "sallyport_exchanges_in_flight 1",
      'sallyport_body_bytes_total{direction="in"} 11',
      'sallyport_body_bytes_total{direction="out"} 22',
      'sallyport_exchange_duration_seconds_bucket{le="0.002"} 0',
      'sallyport_exchange_duration_seconds_bucket{le="0.005"} 1',
      'sallyport_exchange_duration_seconds_bucket{le="60"} 1',
      'sallyport_exchange_duration_seconds_bucket{le="+Inf"} 2',
      "sallyport_exchange_duration_seconds_sum 70.003",
      "sallyport_exchange_duration_seconds_count 2",
    ]
  ) assert.ok(lines.includes(line), line);
});

test("counters: a duration on a bound belongs to that bound's bucket", () => {
  const counters = new DataPlaneCounters();
  for (const bound of DURATION_BOUNDS_MS) counters.finished(200, bound, 0, 0);
  assert.deepEqual([...counters.durationSlots], [...DURATION_BOUNDS_MS.map(() => 1), 0]);
});

test("counters: error codes beyond the limit count as other", () => {
  const counters = new DataPlaneCounters();
  for (let i = 0; i < MAX_ERROR_CODES + 50; i++) counters.failed(`code_${i}`);
  counters.failed("code_0");
  assert.equal(counters.errorsByCode.size, MAX_ERROR_CODES + 1);
  assert.equal(counters.errorsByCode.get(OTHER_CODE), 50);
  assert.equal(counters.errorsByCode.get("code_0"), 2);
});

test("metrics: a second scrape shows the numbers of then, and gauges refreshed just before", async () => {
  const counters = new DataPlaneCounters();
  counters.failed("backend_refused");
  let scrapes = 0;
  const metrics = createMetrics({
    counters,
    processMetrics: false,
    beforeScrape: () => counters.tunnelsConnected = ++scrapes,
  });
  await metrics.render();
  counters.failed("backend_refused");
  const text = await metrics.render();
  assert.match(text, /^sallyport_tunnels_connected 2$/m);
  assert.match(text, /^sallyport_errors_total\{code="backend_refused"\} 2$/m);
});

test("metrics: the process's own are there when asked for", async () => {
  const text = await createMetrics({ counters: new DataPlaneCounters() }).render();
  assert.match(text, /^process_cpu_user_seconds_total /m);
  assert.match(text, /^nodejs_eventloop_lag_seconds /m);
});

test("metrics: docs/metrics.md documents each metric with its type and labels, and no other", async () => {
  const page = await readFile(new URL("../../../../docs/metrics.md", import.meta.url), "utf8");
  const documented = [...page.matchAll(/^\| `(sallyport_\w+)` *\| (\w+) *\|([^|]*)\|/gm)]
    .map(([, name, type, labels]) => `${name} ${type} ${labels!.replace(/[` ]/g, "")}`);
  const defined = METRICS.map(({ name, type, labels }) => `${name} ${type} ${(labels ?? []).join(",")}`);
  assert.deepEqual(documented, [...defined, `${DURATION_METRIC} histogram `]);
});
