import type { Socket } from "node:net";
import type { EndCause } from "../metrics/end_causes.ts";
import { type CidrList, networkOf } from "./address.ts";
import { clientAddressOf } from "./client_address.ts";

/** Bounds of the connections of users, over all listeners. */
export interface ConnectionLimitOptions {
  /** Most connections at a time. */
  readonly max: number;
  /** Most connections at a time from one address, or one /64 of IPv6; 0: no limit. */
  readonly maxPerSource: number;
  /** Sources that are not limited on their own: proxies stand for many users. */
  readonly exempt: CidrList;
  /** Told of each connection that is refused. */
  readonly onEnded: (cause: EndCause) => void;
}

/** Counts the connections of users; what is too much is closed at once, before it costs a TLS handshake. */
export class ConnectionLimit {
  readonly #options: ConnectionLimitOptions;
  readonly #bySource = new Map<string, number>();
  #open = 0;

  constructor(options: ConnectionLimitOptions) {
    this.#options = options;
  }

  /** Connections open now. */
  get open(): number {
    return this.#open;
  }

  /** True: goes on, and is counted until it closes. False: it was one too many, and has been closed. */
  admit(socket: Socket): boolean {
    const { max, maxPerSource, exempt, onEnded } = this.#options;
    const { address } = clientAddressOf(socket);
    const source = networkOf(address);
    const ofSource = this.#bySource.get(source) ?? 0;
    if (this.#open >= max) onEnded("too_many_connections");
    else if (maxPerSource > 0 && ofSource >= maxPerSource && !exempt.contains(address)) {
      onEnded("too_many_of_source");
    } else {
      this.#open += 1;
      this.#bySource.set(source, ofSource + 1);
      socket.once("close", () => this.#left(source));
      return true;
    }
    socket.on("error", () => {});
    socket.resetAndDestroy();
    return false;
  }

  #left(source: string): void {
    this.#open -= 1;
    const others = this.#bySource.get(source)! - 1;
    if (others > 0) this.#bySource.set(source, others);
    else this.#bySource.delete(source);
  }
}
