import { isStoreFailure, StoreError } from "../store/errors.ts";

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

  /**
   * Issues one more and counts it; where the connector had as many within an hour as it may, does what `full` says, and
   * counts nothing. Work that fails does not count, or the connector would be shut out when authority and store work
   * again; what the store refused (`certificate_revoked`, `not_found`) does, since it was signed for, and asking once
   * more would be refused again. Throws what `work` and `full` throw.
   */
  async counted<T>(connectorId: string, work: () => Promise<T>, full: () => Promise<T>): Promise<T> {
    const at = this.#take(connectorId);
    if (at === null) return await full();
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StoreError) || isStoreFailure(error)) this.#giveBack(connectorId, at);
      throw error;
    }
  }

  /** When it was counted; null, and not counted, where there were as many as there may be. */
  #take(connectorId: string): number | null {
    const now = this.#clock.now();
    for (const [one, times] of this.#issued) {
      // Of the future: before the clock went back, which must not shut anybody out until it is there again.
      const recent = times.filter((at) => at <= now && now - at < HOUR_MS);
      if (recent.length === 0) this.#issued.delete(one);
      else this.#issued.set(one, recent);
    }
    const recent = this.#issued.get(connectorId) ?? [];
    if (recent.length >= this.#mostPerHour) return null;
    this.#issued.set(connectorId, [...recent, now]);
    return now;
  }

  #giveBack(connectorId: string, at: number): void {
    const times = this.#issued.get(connectorId) ?? [];
    const index = times.indexOf(at);
    if (index >= 0) times.splice(index, 1);
  }
}
