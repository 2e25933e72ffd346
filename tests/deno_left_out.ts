/** Something that the Deno run leaves out: a whole file, or one test, which then skips itself on Deno. */
export interface LeftOut {
  file: string;
  /** Name of the test; undefined: the whole file. */
  test?: string;
  reason: string;
}

/** All that the Deno run leaves out: everything else of `tests/` must pass there. */
export const DENO_LEFT_OUT: readonly LeftOut[] = [
  {
    file: "tests/system/listener.test.ts",
    reason:
      "the broker's listeners in this process, and brokers run on Node: Deno's HTTP server has no limit on " +
      "header lines, its TLS server no alert for an unknown name",
  },
  {
    file: "tests/system/faults.test.ts",
    reason:
      "all its programs are on Node, whatever runs the test; Deno cannot bind a socket without listening",
  },
  {
    file: "tests/system/broker_restart.test.ts",
    reason: "the same",
  },
  {
    file: "tests/system/http2_bursts.test.ts",
    reason:
      "the test's own user: Deno's HTTP/2 client breaks its session where many streams end by frames of their own",
  },
  {
    file: "tests/system/streaming_slow_upload.test.ts",
    reason: "the broker's listener in this process: Deno's HTTP server has no time-out for heads",
  },
  {
    file: "tests/system/streaming_small_pieces.test.ts",
    reason: "measures the heap, which Deno does not collect at will",
  },
  {
    file: "tests/system/cancellation.test.ts",
    test: "hundreds of exchanges, most of them left at random: every other one is whole, byte for byte",
    reason:
      "Deno leaves some sockets open that were destroyed in the middle of a write: those of the connector " +
      "to a backend, too",
  },
  {
    file: "tests/system/public_certificates.test.ts",
    reason:
      "certificates by name in this process, and brokers run on Node: Deno's TLS server ignores SNICallback",
  },
  {
    file: "tests/system/backend_connect.test.ts",
    test: "undici: a host that answers no SYN runs into the connect timeout",
    reason: "the test's own backend: Deno's node:net has no backlog setting, so the queue cannot be filled",
  },
  {
    file: "tests/system/backend_connect.test.ts",
    test: "node:http: a host that answers no SYN runs into the connect timeout",
    reason: "the same",
  },
  {
    file: "tests/system/backend_tls.test.ts",
    test: "a second connection resumes the TLS session of the first",
    reason: "Deno's TLS does not tell of sessions",
  },
  {
    file: "tests/system/tunnel_abort_http2.test.ts",
    reason: "the test's own users: a stream that nobody reads is not cancelled by Deno's HTTP/2 client",
  },
  {
    file: "tests/system/tunnel_misbehaving_broker.test.ts",
    reason: "the broker in this process resets thousands of streams: Deno's HTTP/2 server stops at that; " +
      "with the test on Node, a connector on Deno passes",
  },
  {
    file: "tests/system/ingress_ends.test.ts",
    reason:
      "the test's own users: Deno's clients tell some resets as ends, and take a minute to be told of an early " +
      "answer; on Node it runs with connectors on Deno too",
  },
  {
    file: "tests/system/websocket_http2.test.ts",
    reason:
      "the test's own users: Deno's HTTP/2 client knows no extended CONNECT; on Node it runs with connectors on Deno too",
  },
  {
    file: "tests/system/backend_http2.test.ts",
    reason: "the test's own backends: Deno's HTTP/2 server does not end a stream that was reset",
  },
  {
    file: "tests/system/trailers.test.ts",
    reason:
      "the test's own users: Deno's HTTP/2 client fails its first trailers; with the test on Node, connectors on " +
      "Deno pass",
  },
  {
    file: "tests/system/grpc.test.ts",
    reason:
      "the test's own servers and users, of grpc-js: they do not get along with Deno's HTTP/2; with the test on " +
      "Node, connectors on Deno pass",
  },
  {
    file: "tests/system/tunnel_admission.test.ts",
    reason:
      "the test's own attackers: Deno's TLS client can show no weak keys and does not tell of session tickets; brokers " +
      "run on Node",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "largest body, HTTP/2: a length over it is 413 before the backend hears of it",
    reason: "the test's own users: Deno's HTTP/2 client leaves no stream open or unread",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "largest body: exactly so much passes, with and without a length",
    reason: "the same",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "largest body: one that says no length is given up when it is exceeded",
    reason: "the same",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "maintenance, HTTP/2: the same",
    reason: "the same",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "a user who stops in the middle of an upload is sent away, HTTP/2",
    reason: "the same",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "a user who does not read is sent away, whether the response is all here or not",
    reason: "the same",
  },
  {
    file: "tests/system/app_limits.test.ts",
    test: "a user who leaves no room for a response that is all written is sent away",
    reason: "the same",
  },
  {
    file: "tests/system/response_translation.test.ts",
    test: "HTTP/2: an app that leads back to the broker is answered 508 and counted",
    reason: "the test's own users: Deno's HTTP/2 client loses a short answer",
  },
  {
    file: "tests/system/smuggling.test.ts",
    reason: "the test's own users: Deno's TLS client does not take a certificate of an unknown authority",
  },
  {
    file: "tests/system/abuse.test.ts",
    reason: "the test's own attackers need a source address of their own, and the broker runs on Node anyway",
  },
  {
    file: "tests/system/hostile_backend.test.ts",
    reason:
      "connectors on Deno: its node:http client waits on after a connection that ended before or within a head, " +
      "until the time for the head is up",
  },
  {
    file: "tests/system/backend_stray_close.test.ts",
    test: "node:http: no POST reaches such a backend twice, and one that has begun says so",
    reason: "Deno's node:http client sends a request again by itself, whatever its method",
  },
  {
    file: "tests/system/backend_stray_close.test.ts",
    test: "node:http: where a response has begun, nothing is sent again",
    reason: "Deno's node:http client sends a request again by itself, whatever its method",
  },
  {
    file: "tests/system/hardened_host.test.ts",
    test:
      "an unprivileged user without a home, a temporary folder or capabilities: registers, runs, writes its state folder alone",
    reason:
      "starts the program on Node as another user, and Deno tells its end upon a signal as killed by it",
  },
  {
    file: "tests/system/hardened_host.test.ts",
    test: "--fips with OpenSSL's FIPS provider: registers, connects, doctor says that it is proven",
    reason: "Deno has no FIPS mode: there, --fips ends with 2",
  },
];
