import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { DataPlaneCounters } from "./counters.ts";
import {
  DURATION_HELP,
  DURATION_METRIC,
  durationSamples,
  type MetricDefinition,
  METRICS,
} from "./definitions.ts";
import type { Metrics } from "./port.ts";

/** How {@linkcode createMetrics} is set up. */
export interface MetricsOptions {
  counters: DataPlaneCounters;
  /** Called before each scrape: the place to refresh gauges that others keep. */
  beforeScrape?: () => void;
  /** Also the process's own metrics (CPU, memory, event loop, garbage collection): once a process. Default true. */
  processMetrics?: boolean;
}

/** Metrics in the Prometheus text format, read from the counters at each scrape and at no other time. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  for (const definition of METRICS) addMetric(registry, definition, options.counters);
  addDuration(registry, options.counters);
  if (options.processMetrics ?? true) collectDefaultMetrics({ register: registry });
  return {
    contentType: registry.contentType,
    render: async () => {
      options.beforeScrape?.();
      return await registry.metrics();
    },
  };
}

function addMetric(registry: Registry, definition: MetricDefinition, counters: DataPlaneCounters): void {
  const { name, help, type, read } = definition;
  const labelNames = [...definition.labels ?? []];
  if (type === "gauge") {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        for (const { labels, value } of read(counters)) this.set(labels ?? {}, value);
      },
    });
  } else {
    new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of read(counters)) this.inc(labels ?? {}, value);
      },
    });
  }
}

/** prom-client cannot be given a histogram counted elsewhere, so its `get`, which a scrape calls, is ours. */
function addDuration(registry: Registry, counters: DataPlaneCounters): void {
  const histogram = new Histogram({
    name: DURATION_METRIC,
    help: DURATION_HELP,
    registers: [registry],
  });
  const read = () => ({
    name: DURATION_METRIC,
    help: DURATION_HELP,
    type: "histogram",
    aggregator: "sum",
    values: durationSamples(counters).map(({ suffix, labels, value }) => ({
      metricName: DURATION_METRIC + suffix,
      labels: labels ?? {},
      value,
    })),
  });
  Object.assign(histogram, { get: async () => read(), getForPromString: async () => read() });
}
