import type { SessionRecord } from "./log.ts";

/** A finished exchange as a JSON line. Not through tslog: one line an exchange has to cost next to nothing. */
export function jsonSessionLine(record: SessionRecord): string {
  const { headMs, totalMs } = record;
  const times = { headMs: tenths(headMs), totalMs: tenths(totalMs) };
  return `${JSON.stringify({ time: new Date().toISOString(), kind: "session", ...record, ...times })}\n`;
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
  const facts = `${
    tenths(totalMs)
  }ms in=${bytesIn} out=${bytesOut} app=${app} connector=${connector} from=${clientIp}`;
  const failed = error === undefined ? "" : ` error=${error}`;
  const time = new Date().toISOString().replace("T", " ").slice(0, -1);
  const line = `${time} SESSION ${status} ${method} ${host}${path} ${facts} id=${requestId}${failed}`;
  return `${withoutControls(line)}\n`;
}

/** Tenths of a millisecond: more digits than that are noise. */
function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** Text whose control characters are replaced: what a user sent must not paint on the terminal of who reads it. */
export function withoutControls(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "?");
}
