/** Codes of `ProtocolError`. */
export const PROTOCOL_CODES = ["protocol_error", "protocol_unsupported", "protocol_too_large"] as const;

/**
 * The peer broke the wire contract: whatever carries it (a lane, a control stream) cannot be trusted further and
 * must be destroyed. `protocol_unsupported`: both sides are sound but share no revision. `protocol_too_large`:
 * not the peer's fault; what we were to send is over a limit of the wire, and none of it was sent.
 */
export class ProtocolError extends Error {
  readonly code: typeof PROTOCOL_CODES[number];
  readonly retryable = false;

  constructor(message: string, code: typeof PROTOCOL_CODES[number] = "protocol_error", cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ProtocolError";
    this.code = code;
  }
}
