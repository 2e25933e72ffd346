import { type DataPlaneCounters, DURATION_BOUNDS_MS } from "./counters.ts";
import { END_CAUSES } from "./end_causes.ts";
import { TURNED_AWAY_CAUSES } from "./turned_away_causes.ts";

/** One number of a metric, with the labels it goes by. */
export interface Sample {
  labels?: Readonly<Record<string, string>>;
  value: number;
}

/** A metric of ours: its documented name and how it is read from the counters. */
export interface MetricDefinition {
  name: string;
  type: "counter" | "gauge";
  help: string;
  /** Names of its labels. */
  labels?: readonly string[];
  read(counters: DataPlaneCounters): Sample[];
}

/** Name of the exchange duration histogram, in seconds. */
export const DURATION_METRIC = "sallyport_exchange_duration_seconds";
/** What the histogram says of itself. */
export const DURATION_HELP = "Time from the arrival of a request to the end of its exchange, in seconds.";

const one = (value: number): Sample[] => [{ value }];
const CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/** Every metric of ours but the duration histogram. `docs/metrics.md` lists the same names. */
export const METRICS: readonly MetricDefinition[] = [
  {
    name: "sallyport_exchanges_total",
    type: "counter",
    labels: ["status"],
    help: "Exchanges that have ended, by class of the status sent to the user (none: nothing was sent).",
    read: (c) => CLASSES.map((status, index) => ({ labels: { status }, value: c.exchangesByClass[index]! })),
  },
  {
    name: "sallyport_exchanges_in_flight",
    type: "gauge",
    help: "Exchanges begun and not yet ended.",
    read: (c) => one(c.exchangesStarted - c.exchangesFinished),
  },
  {
    name: "sallyport_body_bytes_total",
    type: "counter",
    labels: ["direction"],
    help: "Body bytes of ended exchanges; direction in: from users, out: to users.",
    read: (c) => [
      { labels: { direction: "in" }, value: c.bodyBytesIn },
      { labels: { direction: "out" }, value: c.bodyBytesOut },
    ],
  },
  {
    name: "sallyport_tunnels_connected",
    type: "gauge",
    help: "Tunnels that are connected.",
    read: (c) => one(c.tunnelsConnected),
  },
  {
    name: "sallyport_lanes",
    type: "gauge",
    labels: ["state"],
    help: "Open lanes by state: idle or busy.",
    read: (c) => [
      { labels: { state: "idle" }, value: c.lanesIdle },
      { labels: { state: "busy" }, value: c.lanesBusy },
    ],
  },
  {
    name: "sallyport_lanes_opened_total",
    type: "counter",
    help: "Lanes opened by connectors.",
    read: (c) => one(c.lanesOpened),
  },
  {
    name: "sallyport_lanes_closed_total",
    type: "counter",
    labels: ["reason"],
    help: "Lanes closed; reason retired: surplus while idle, destroyed: after an error.",
    read: (c) => [
      { labels: { reason: "retired" }, value: c.lanesRetired },
      { labels: { reason: "destroyed" }, value: c.lanesDestroyed },
    ],
  },
  {
    name: "sallyport_waiting_requests",
    type: "gauge",
    help: "Requests that wait for a lane or for a connector.",
    read: (c) => one(c.waitingRequests),
  },
  {
    name: "sallyport_errors_total",
    type: "counter",
    labels: ["code"],
    help: "Failures by error code; docs/errors.md explains each code.",
    read: (c) => [...c.errorsByCode].map(([code, value]) => ({ labels: { code }, value })),
  },
  {
    name: "sallyport_ingress_connections_total",
    type: "counter",
    help: "TCP connections accepted from users.",
    read: (c) => one(c.ingressConnections),
  },
  {
    name: "sallyport_ingress_connections",
    type: "gauge",
    help: "Connections of users that are open.",
    read: (c) => one(c.ingressConnectionsOpen),
  },
  {
    name: "sallyport_ingress_connections_ended_total",
    type: "counter",
    labels: ["cause"],
    help: "Connections of users refused or ended for a cause of theirs; see below.",
    read: (c) =>
      END_CAUSES.map((cause) => ({ labels: { cause }, value: c.connectionsEnded.get(cause) ?? 0 })),
  },
  {
    name: "sallyport_tunnel_arrivals_turned_away_total",
    type: "counter",
    labels: ["cause"],
    help: "Connections to the tunnel name that were closed while they waited or lost their place; see below.",
    read: (c) =>
      TURNED_AWAY_CAUSES.map((cause) => ({ labels: { cause }, value: c.arrivalsTurnedAway.get(cause) ?? 0 })),
  },
  {
    name: "sallyport_tunnel_refusals_total",
    type: "counter",
    labels: ["code"],
    help: "Streams of connectors that were refused, and tunnels that the broker ended, by code.",
    read: (c) => [...c.tunnelRefusals].map(([code, value]) => ({ labels: { code }, value })),
  },
  {
    name: "sallyport_tls_handshake_failures_total",
    type: "counter",
    help: "TLS handshakes that failed, on any listener.",
    read: (c) => one(c.tlsHandshakeFailures),
  },
  {
    name: "sallyport_log_lines_lost_total",
    type: "counter",
    help: "Log lines dropped because their reader did not keep up.",
    read: (c) => one(c.logLinesLost),
  },
  {
    name: "sallyport_log_lines_withheld_total",
    type: "counter",
    help: "Log lines about connectors that were left out because there were many of a kind.",
    read: (c) => one(c.logLinesWithheld),
  },
  {
    name: "sallyport_config_pulls_total",
    type: "counter",
    help: "Configuration pulls answered to connectors.",
    read: (c) => one(c.configPulls),
  },
  {
    name: "sallyport_store_failures_total",
    type: "counter",
    help: "Calls of the store that failed because the store did.",
    read: (c) => one(c.storeFailures),
  },
];

/** One line of a histogram as Prometheus writes it: `suffix` follows the metric's name. */
export interface HistogramSample extends Sample {
  suffix: "_bucket" | "_sum" | "_count";
}

/** The duration histogram, cumulative, in seconds. */
export function durationSamples(counters: DataPlaneCounters): HistogramSample[] {
  const samples: HistogramSample[] = [];
  let cumulative = 0;
  for (const [index, count] of counters.durationSlots.entries()) {
    cumulative += count;
    const bound = DURATION_BOUNDS_MS[index];
    const le = bound === undefined ? "+Inf" : String(bound / 1_000);
    samples.push({ suffix: "_bucket", labels: { le }, value: cumulative });
  }
  samples.push({ suffix: "_sum", value: counters.durationSumMs / 1_000 });
  samples.push({ suffix: "_count", value: cumulative });
  return samples;
}
