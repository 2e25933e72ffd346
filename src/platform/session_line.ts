import type { SessionRecord } from "./log.ts";

/** A finished exchange as a JSON line. Not through tslog: one line an exchange has to cost next to nothing. */
export function jsonSessionLine(record: SessionRecord): string {
  return `${JSON.stringify({ time: new Date().toISOString(), kind: "session", ...record })}\n`;
}

/** A finished exchange as a line for people. */
export function prettySessionLine(record: SessionRecord): string {
  const {
    method,
    host,
    path,
    status,
    totalMs,
    bytesIn,
    bytesOut,
    app,
    connector,
    requestId,
    clientIp,
    error,
  } = record;
  const facts =
    `${totalMs}ms in=${bytesIn} out=${bytesOut} app=${app} connector=${connector} from=${clientIp}`;
  const failed = error === undefined ? "" : ` error=${error}`;
  const line = `${
    new Date().toISOString()
  } SESSION ${status} ${method} ${host}${path} ${facts} id=${requestId}${failed}`;
  return `${withoutControls(line)}\n`;
}

/** Text whose control characters are replaced: what a user sent must not paint on the terminal of who reads it. */
export function withoutControls(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "?");
}
