/** Name in `hello` and its answer: the connector answers probes. */
export const PROBE_CAPABILITY = "probe";

/** The app that a probe is for: none. The connector answers 204 from the loop that serves all exchanges, at once. */
export const PROBE_APP_ID = "";
