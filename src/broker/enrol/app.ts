import { type Context, Hono } from "hono";
import {
  ENROL_HELLO_PATH,
  ENROL_PATH,
  type EnrolmentHello,
  parseEnrolmentRequest,
} from "../../protocol/enrolment.ts";
import { EnrolmentFormatError } from "../../protocol/enrolment_errors.ts";
import { parseReenrolmentRequest, REENROL_NONCE_PATH, REENROL_PATH } from "../../protocol/reenrolment.ts";
import { StoreError, TokenRefusedError } from "../store/errors.ts";
import { Enrolment, type EnrolmentParts } from "./enrol.ts";
import { EnrolmentRefusal } from "./errors.ts";
import { readJsonBody } from "./read_body.ts";
import { SourceLimit, type SourceLimitOptions } from "./source_limit.ts";

/** What the enrolment endpoint is made of. */
export interface EnrolmentAppOptions extends Omit<EnrolmentParts, "clock"> {
  clock?: { now(): number };
  /** Told of each outcome, for metrics. */
  counters?: { enrolled(): void; refused(code: string): void };
  /** The address a request came from; by default the socket's. */
  sourceAddress?: (context: Context) => string;
  /** Enrolments at a time; more are told to come again. */
  maxConcurrent?: number;
  sourceLimit?: SourceLimitOptions;
}

/**
 * The enrolment endpoint, for the TLS server of the enrolment name: `POST /enrol/v1/connectors` turns a token and a
 * certificate request into an identity, `POST /enrol/v1/reenrolments` gives a connector with an expired certificate
 * another, `GET /enrol/v1/hello` tells the time. Failures are problem bodies (RFC 9457).
 */
export function createEnrolmentApp(options: EnrolmentAppOptions): Hono {
  const { clock = Date, counters, sourceAddress = socketAddress, maxConcurrent = 16, log } = options;
  const enrolment = new Enrolment({ ...options, clock });
  const limit = new SourceLimit(options.sourceLimit);
  let running = 0;

  /** Runs one enrolment of whatever kind, unless there are too many, or its source has tried too many secrets. */
  async function bounded<T>(address: string, work: () => Promise<T>): Promise<T> {
    const waitMs = limit.waitMs(address, clock.now());
    if (waitMs > 0) {
      throw new EnrolmentRefusal(
        "source_limited",
        429,
        "Cannot enrol: too many unknown tokens from this address",
        {
          retryAfter: Math.ceil(waitMs / 1_000),
        },
      );
    }
    if (running >= maxConcurrent) {
      throw new EnrolmentRefusal("enrolment_busy", 503, "Cannot enrol now: too many enrolments at once", {
        retryAfter: 1,
      });
    }
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  }

  const app = new Hono();

  app.get(ENROL_HELLO_PATH, (c) => {
    c.header("cache-control", "no-store");
    return c.json({ time: clock.now() } satisfies EnrolmentHello);
  });

  app.post(ENROL_PATH, async (c) => {
    const request = parseEnrolmentRequest(await readJsonBody(c.req.raw));
    const address = sourceAddress(c);
    const response = await bounded(address, () => enrolment.enrol(request, address));
    counters?.enrolled();
    c.header("cache-control", "no-store");
    return c.json(response, 201);
  });

  app.post(REENROL_NONCE_PATH, (c) => {
    c.header("cache-control", "no-store");
    return c.json(enrolment.nonce());
  });

  app.post(REENROL_PATH, async (c) => {
    const request = parseReenrolmentRequest(await readJsonBody(c.req.raw));
    const response = await bounded(sourceAddress(c), () => enrolment.reenrol(request));
    c.header("cache-control", "no-store");
    return c.json(response, 201);
  });

  app.notFound((c) =>
    problem(c, new EnrolmentRefusal("request_invalid", 404, `Cannot find "${c.req.path}"`))
  );

  app.onError((error, c) => {
    const refusal = refusalOf(error);
    const address = sourceAddress(c);
    if (GUESSES.has(refusal.code)) limit.failed(address, clock.now());
    counters?.refused(refusal.code);
    const level = refusal.status === 500 ? "error" : "warn";
    log[level]("Refused enrolment", {
      code: refusal.code,
      address,
      reason: refusal.message,
      cause: causeOf(error),
    });
    return problem(c, refusal);
  });

  return app;
}

/** What someone would be told who tries secrets or keys. */
const GUESSES: ReadonlySet<string> = new Set(["token_unknown", "certificate_unknown", "proof_invalid"]);

/** Everything that can go wrong, as the connector is told; what is the broker's own affair stays in its log. */
function refusalOf(error: unknown): EnrolmentRefusal {
  if (error instanceof EnrolmentRefusal) return error;
  if (error instanceof EnrolmentFormatError) {
    return new EnrolmentRefusal("request_invalid", 400, error.message);
  }
  if (
    error instanceof TokenRefusedError ||
    (error instanceof StoreError && error.code === "certificate_revoked")
  ) {
    return new EnrolmentRefusal(error.code as EnrolmentRefusal["code"], 403, error.message);
  }
  if (error instanceof StoreError && error.retryable) {
    return new EnrolmentRefusal(
      "enrolment_busy",
      503,
      "Cannot enrol now: the broker's store is not available",
      {
        retryAfter: 5,
      },
    );
  }
  return new EnrolmentRefusal("enrolment_failed", 500, "Cannot enrol: the broker failed; its log says why");
}

function problem(c: Context, { code, status, message, retryAfter }: EnrolmentRefusal): Response {
  if (retryAfter !== undefined) c.header("retry-after", String(retryAfter));
  c.header("cache-control", "no-store");
  c.header("content-type", "application/problem+json");
  return c.body(
    JSON.stringify({
      type: `urn:sallyport:error:${code}`,
      title: "Enrolment refused",
      status,
      code,
      detail: message,
    }),
    status,
  );
}

function causeOf(error: unknown): string | undefined {
  return error instanceof EnrolmentRefusal || error instanceof EnrolmentFormatError
    ? undefined
    : String(error);
}

/** Under @hono/node-server the raw request is in `env.incoming`. */
function socketAddress(c: Context): string {
  const env = c.env as { incoming?: { socket?: { remoteAddress?: string } } } | undefined;
  return (env?.incoming?.socket?.remoteAddress ?? "").replace(/^::ffff:/, "");
}
