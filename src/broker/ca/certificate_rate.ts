const HOUR_MS = 3_600_000;

/** How many certificates each connector has had lately, by whatever way it asked for them. */
export class CertificateRate {
  readonly #mostPerHour: number;
  readonly #clock: { now(): number };
  /** When each connector had its certificates of the last hour; as many entries as connectors that had any in it. */
  readonly #issued = new Map<string, number[]>();

  constructor(mostPerHour: number, clock: { now(): number } = Date) {
    this.#mostPerHour = mostPerHour;
    this.#clock = clock;
  }

  /** Counts one more; false, and not counted, where it had as many within an hour as it may. */
  take(connectorId: string): boolean {
    const now = this.#clock.now();
    for (const [one, times] of this.#issued) {
      // Of the future: before the clock went back, which must not shut anybody out until it is there again.
      const recent = times.filter((at) => at <= now && now - at < HOUR_MS);
      if (recent.length === 0) this.#issued.delete(one);
      else this.#issued.set(one, recent);
    }
    const recent = this.#issued.get(connectorId) ?? [];
    if (recent.length >= this.#mostPerHour) return false;
    this.#issued.set(connectorId, [...recent, now]);
    return true;
  }

  /** The last one that was counted came to nothing: what fails here must not shut a connector out when it works again. */
  giveBack(connectorId: string): void {
    this.#issued.get(connectorId)?.pop();
  }
}
