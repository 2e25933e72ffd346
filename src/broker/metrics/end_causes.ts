/**
 * Why the listeners ended or refused connections of users, where it was neither the user's wish nor ours. `docs/metrics.md`
 * says of each what it stands for.
 */
export const END_CAUSES = [
  "too_many_connections",
  "too_many_of_source",
  "too_many_hellos",
  "hello_timeout",
  "hello_malformed",
  "tls_handshake",
  "head_timeout",
  "head_too_large",
  "head_malformed",
  "pipelining",
  "idle",
  "http2_flood",
  "http2_ping_flood",
  "http2_protocol_error",
] as const;

/** One of {@linkcode END_CAUSES}. */
export type EndCause = (typeof END_CAUSES)[number];
