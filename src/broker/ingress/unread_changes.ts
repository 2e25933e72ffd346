/**
 * Groups whose apps changed and are not in the route table yet, and who waits until they are. A count of the changes
 * that were told tells which of them those are who wait.
 */
export class UnreadChanges {
  #groupIds = new Set<string>();
  #moved = false;
  #told = 0;
  #settledUpTo = 0;
  #waiters: { upTo: number; resolve: () => void }[] = [];

  /** Takes note of one change: of several groups it is a move of apps between them. */
  add(groupIds: Iterable<string>, { isMove = false }: { isMove?: boolean } = {}): void {
    this.#told++;
    if (isMove) this.#moved = true;
    this.putBack(groupIds);
  }

  get isEmpty(): boolean {
    return this.#groupIds.size === 0;
  }

  has(groupId: string): boolean {
    return this.#groupIds.has(groupId);
  }

  /** Whether apps were moved since `take` was called last. */
  get moved(): boolean {
    return this.#moved;
  }

  get areAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  /** Hands out all groups; once they are in the table, `settle` wants to know `upTo`. */
  take(): { groupIds: ReadonlySet<string>; upTo: number } {
    const groupIds = this.#groupIds;
    this.#groupIds = new Set();
    this.#moved = false;
    return { groupIds, upTo: this.#told };
  }

  /** Groups that could not be read. */
  putBack(groupIds: Iterable<string>): void {
    for (const groupId of groupIds) this.#groupIds.add(groupId);
  }

  /** So many changes are in the table, or will never be. */
  settle(upTo: number): void {
    this.#settledUpTo = upTo;
    const settled = this.#waiters.filter((waiter) => waiter.upTo <= upTo);
    this.#waiters = this.#waiters.filter((waiter) => waiter.upTo > upTo);
    for (const { resolve } of settled) resolve();
  }

  /** Resolves when all changes that were told by now are settled. */
  settled(): Promise<void> {
    if (this.#settledUpTo >= this.#told) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ upTo: this.#told, resolve }));
  }
}
