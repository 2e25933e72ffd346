import { type ErrorOptions, SallyportError } from "../../platform/error.ts";
import type { EnrolmentAnswerCode } from "../../protocol/enrolment_errors.ts";

/** A refusal of the enrolment endpoint: what the connector is told. */
export class EnrolmentRefusal extends SallyportError<EnrolmentAnswerCode> {
  /** HTTP status of the answer. */
  readonly status: 400 | 403 | 404 | 408 | 413 | 429 | 500 | 503;
  /** Seconds after which the same may be tried again. */
  readonly retryAfter: number | undefined;

  constructor(
    code: EnrolmentAnswerCode,
    status: EnrolmentRefusal["status"],
    message: string,
    options: ErrorOptions & { retryAfter?: number } = {},
  ) {
    super(code, message, { retryable: options.retryAfter !== undefined, ...options });
    this.status = status;
    this.retryAfter = options.retryAfter;
  }
}
