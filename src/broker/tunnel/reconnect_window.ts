import { MIN_RECONNECT_WINDOW_MS, reconnectWindowFor } from "../../protocol/reconnect_window.ts";
import type { Fields } from "../../tunnel/control_channel.ts";

/** A tunnel, as far as it can be told something. */
interface Told {
  readonly hello: unknown;
  readonly control: { notice(type: string, fields: Fields): void };
}

/**
 * Keeps connectors informed of the time over which they should come back if all of them lose this broker at once. It grows
 * with their number; all are told again when it has doubled or halved.
 */
export class ReconnectWindow {
  #toldMs = MIN_RECONNECT_WINDOW_MS;

  /** What a welcome and a drain say when there are so many tunnels. */
  fields(tunnels: number): { reconnectWindowMs: number } {
    return { reconnectWindowMs: reconnectWindowFor(tunnels) };
  }

  /** There are so many tunnels now: tells them where that changes much. */
  changed(count: number, tunnels: () => Iterable<Told>): void {
    const ms = reconnectWindowFor(count);
    if (ms > this.#toldMs / 2 && ms < this.#toldMs * 2) return;
    this.#toldMs = ms;
    for (const { hello, control } of tunnels()) {
      if (hello !== null) control.notice("reconnect.window", this.fields(count));
    }
  }
}
