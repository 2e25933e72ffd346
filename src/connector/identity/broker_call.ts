import { type IncomingMessage, request as httpRequest } from "node:http";
import { ENROLMENT_BODY_LIMIT, parseEnrolmentProblem } from "../../protocol/enrolment.ts";
import { ENROLMENT_REFUSAL_CODES, type EnrolmentRefusalCode } from "../../protocol/enrolment_errors.ts";
import {
  abortedError,
  close,
  connectEnrolment,
  type EnrolmentTarget,
  lost,
  timedOut,
} from "./enrolment_socket.ts";
import { RegistrationError } from "./errors.ts";

/** Codes of the broker that a connector knows; any other is `enrolment_refused`. */
const KNOWN: ReadonlySet<string> = new Set(ENROLMENT_REFUSAL_CODES);

/**
 * Sends one request to the enrolment endpoint, over a verified connection of its own, and reads the answer; `body` null
 * asks with GET. Throws `RegistrationError`; with `details.step` `answer` and `retryable` the broker may have done its
 * part, and the same key is to be used again.
 */
export async function callBroker<T>(
  target: EnrolmentTarget,
  path: string,
  body: string | null,
  parse: (value: unknown) => T,
): Promise<T> {
  const answer = await exchange(target, path, body);
  const { status } = answer;
  if (status !== 201 && status !== 200) throw refusal(answer);
  try {
    return parse(JSON.parse(answer.body));
  } catch (cause) {
    throw new RegistrationError(
      "enrolment_answer_invalid",
      "Cannot register: the broker's answer cannot be read",
      { cause, details: { step: "answer", status } },
    );
  }
}

interface Answer {
  status: number;
  retryAfter: string | undefined;
  body: string;
}

async function exchange(target: EnrolmentTarget, path: string, body: string | null): Promise<Answer> {
  const { stepMs, signal } = target;
  const where = `"${target.address.host}" port ${target.address.port}`;
  const socket = await connectEnrolment(target);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let aborted: (() => void) | undefined;
  try {
    return await new Promise<Answer>((resolve, reject) => {
      timer = setTimeout(() => reject(timedOut("answer", where, stepMs)), stepMs);
      aborted = () => reject(abortedError());
      signal?.addEventListener("abort", aborted);
      if (signal?.aborted) return aborted();
      const broken = (cause?: unknown) =>
        reject(cause instanceof RegistrationError ? cause : lost("answer", where, cause));
      socket.once("close", () => setImmediate(broken));
      const request = httpRequest({
        createConnection: () => socket,
        method: body === null ? "GET" : "POST",
        path,
        headers: {
          host: target.enrolName,
          ...(body === null ? {} : {
            "content-type": "application/json",
            "content-length": Buffer.byteLength(body),
          }),
          accept: "application/json, application/problem+json",
          connection: "close",
        },
      });
      request.once("error", broken);
      request.once("response", (response) => readAnswer(response).then(resolve, broken));
      request.end(body ?? "");
    });
  } finally {
    clearTimeout(timer);
    if (aborted !== undefined) signal?.removeEventListener("abort", aborted);
    close(socket);
  }
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    length += chunk.length;
    if (length > ENROLMENT_BODY_LIMIT) {
      throw new RegistrationError(
        "enrolment_answer_invalid",
        "Cannot register: the broker's answer is too large",
        {
          details: { step: "answer" },
        },
      );
    }
    chunks.push(chunk);
  }
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers["retry-after"],
    body: Buffer.concat(chunks).toString("utf8"),
  };
}

function refusal({ status, retryAfter, body }: Answer): RegistrationError {
  const problem = readProblem(body);
  const code = KNOWN.has(problem?.code ?? "") ? problem?.code as EnrolmentRefusalCode : "enrolment_refused";
  const seconds = /^[0-9]{1,6}$/.test(retryAfter ?? "") ? Number(retryAfter) : undefined;
  const reason = problem?.detail || `it answered with status ${status}`;
  return new RegistrationError(code, `The broker refused to register this connector: ${reason}`, {
    retryable: seconds !== undefined,
    details: { step: "answer", status, brokerCode: problem?.code, retryAfterSeconds: seconds },
  });
}

function readProblem(body: string) {
  try {
    return parseEnrolmentProblem(JSON.parse(body));
  } catch {
    return null;
  }
}
