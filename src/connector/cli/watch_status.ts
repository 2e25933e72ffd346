import { setTimeout as delay } from "node:timers/promises";
import { formatTable } from "./output.ts";

/** What `status --watch` shows, and where. */
export interface WatchOptions {
  read: () => Promise<Record<string, unknown>>;
  /** One line of JSON each time. */
  json: boolean;
  stdout: NodeJS.WritableStream;
  signal: AbortSignal;
  /** Milliseconds between two looks. */
  intervalMs?: number;
}

/** From the top left corner, and nothing of what was there before. */
const REDRAW = "\x1b[H\x1b[2J";

/** Shows the status again and again until the signal is aborted; that no connector runs is shown, too. */
export async function watchStatus(
  { read, json, stdout, signal, intervalMs = 1_000 }: WatchOptions,
): Promise<void> {
  const isTerminal = (stdout as { isTTY?: boolean }).isTTY === true;
  while (!signal.aborted) {
    const status = await read().catch((error: { code?: string; message: string }) => ({
      error: { code: error.code ?? "status_unavailable", message: error.message },
    }));
    const time = new Date().toISOString();
    const text = json ? JSON.stringify({ time, ...status }) : `${time}\n${formatTable(status)}\n`;
    stdout.write(`${isTerminal && !json ? REDRAW : ""}${text}\n`);
    await delay(intervalMs, undefined, { signal }).catch(() => {});
  }
}
