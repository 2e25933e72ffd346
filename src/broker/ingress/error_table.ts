/** What a user is told when a request fails at the ingress. */
export interface ErrorText {
  readonly status: number;
  readonly title: string;
  /** For the person in front of the browser. */
  readonly detail: string;
  /** Seconds after which another try makes sense. */
  readonly retryAfter?: number;
}

/** Every code that the ingress answers with. */
export const INGRESS_CODES = [
  "bad_request",
  "no_app",
  "method_not_allowed",
  "request_timeout",
  "user_idle",
  "too_large",
  "uri_too_long",
  "expectation_failed",
  "misdirected",
  "header_too_large",
  "internal",
  "protocol_not_served",
  "backend_refused",
  "backend_unreachable",
  "backend_tls_failed",
  "backend_bad_response",
  "backend_not_allowed",
  "tunnel_lost",
  "no_connector",
  "overloaded",
  "draining",
  "app_busy",
  "maintenance",
  "backend_timeout",
  "exchange_timeout",
  "loop_detected",
] as const;

/** One of {@linkcode INGRESS_CODES}. */
export type IngressCode = (typeof INGRESS_CODES)[number];

const ADMINISTRATOR = "If this goes on, tell the administrator the code and the request id below.";

/** Status and words for each code. */
export const ERROR_TEXTS: Readonly<Record<IngressCode, ErrorText>> = {
  bad_request: {
    status: 400,
    title: "This request cannot be understood",
    detail: "Its address or its headers are malformed, or can be read in more than one way.",
  },
  no_app: {
    status: 404,
    title: "There is nothing at this address",
    detail: "No application is published here. Check the address for a slip.",
  },
  method_not_allowed: {
    status: 405,
    title: "This method is not allowed",
    detail: "Requests of this kind are not served here.",
  },
  request_timeout: {
    status: 408,
    title: "The request took too long to arrive",
    detail: "The connection went silent before the request was complete.",
  },
  user_idle: {
    status: 408,
    title: "The request stopped on its way",
    detail: "It had begun to arrive, then nothing more came for too long.",
  },
  too_large: {
    status: 413,
    title: "This request is too large",
    detail: "Its content is larger than this application accepts.",
  },
  uri_too_long: {
    status: 414,
    title: "This address is too long",
    detail: "The address is longer than can be served.",
  },
  expectation_failed: {
    status: 417,
    title: "An expectation cannot be met",
    detail: "The request expects something that is not served here.",
  },
  misdirected: {
    status: 421,
    title: "This request came to the wrong place",
    detail: "The name it asks for is not served on this connection.",
  },
  header_too_large: {
    status: 431,
    title: "The request's headers are too large",
    detail: "Deleting this site's cookies in the browser often helps.",
  },
  internal: {
    status: 500,
    title: "Something went wrong here",
    detail: `The request could not be served. ${ADMINISTRATOR}`,
  },
  protocol_not_served: {
    status: 501,
    title: "This protocol is not served",
    detail: "Over HTTP/2, only WebSockets can be opened here.",
  },
  backend_refused: {
    status: 502,
    title: "The application is not answering",
    detail: `It refused the connection; it may be restarting. ${ADMINISTRATOR}`,
  },
  backend_unreachable: {
    status: 502,
    title: "The application cannot be reached",
    detail: `The way to it is interrupted, or its name is not known. ${ADMINISTRATOR}`,
  },
  backend_tls_failed: {
    status: 502,
    title: "The application cannot be trusted",
    detail: `Its identity could not be verified. ${ADMINISTRATOR}`,
  },
  backend_bad_response: {
    status: 502,
    title: "The application gave no usable answer",
    detail: `Its answer broke off or was malformed. ${ADMINISTRATOR}`,
  },
  backend_not_allowed: {
    status: 502,
    title: "The application may not be reached",
    detail: `The connector's own rules do not allow this address. ${ADMINISTRATOR}`,
  },
  tunnel_lost: {
    status: 502,
    title: "The connection to the application was lost",
    detail: `It broke while the request was being served. Trying again usually helps. ${ADMINISTRATOR}`,
  },
  no_connector: {
    status: 503,
    title: "The application is not connected at the moment",
    detail: `It should be back shortly. ${ADMINISTRATOR}`,
    retryAfter: 5,
  },
  overloaded: {
    status: 503,
    title: "Too much is going on at the moment",
    detail: "Please try again in a few seconds.",
    retryAfter: 2,
  },
  draining: {
    status: 503,
    title: "This server is being restarted",
    detail: "Please try again in a few seconds.",
    retryAfter: 2,
  },
  app_busy: {
    status: 503,
    title: "This application is busy at the moment",
    detail: "It serves as many requests as it may. Please try again in a few seconds.",
    retryAfter: 5,
  },
  maintenance: {
    status: 503,
    title: "This application is being worked on",
    detail: "It is not available for the moment. Please try again later.",
    retryAfter: 300,
  },
  exchange_timeout: {
    status: 504,
    title: "This took too long",
    detail: `The application may not take longer for a request. ${ADMINISTRATOR}`,
  },
  backend_timeout: {
    status: 504,
    title: "The application took too long to answer",
    detail: `It was asked, but gave no answer in time. ${ADMINISTRATOR}`,
  },
  loop_detected: {
    status: 508,
    title: "This request goes round in a circle",
    detail: `The application leads back to this address. ${ADMINISTRATOR}`,
  },
};
