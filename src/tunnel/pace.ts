/**
 * Lets a few pieces of work begin in each turn of the event loop; the others begin in the turns that follow, in order.
 *
 * What a turn writes into a tunnel leaves at its end, in one system call. When all work that has come begins in one turn,
 * all of it arrives at the other side together and its answers come back together: one side waits while the other works.
 * With a bound the two sides work at the same time.
 */
export class Pace {
  readonly #perTurn: number;
  #begun = 0;
  #isScheduled = false;
  #waiting: (() => void)[] = [];
  readonly #next = (): void => this.#turn();

  /** `perTurn`: how many pieces of work begin in one turn. */
  constructor(perTurn: number) {
    this.#perTurn = perTurn;
  }

  /** True: begin now. False: call `later`. */
  mayBegin(): boolean {
    if (this.#waiting.length > 0 || this.#begun >= this.#perTurn) return false;
    this.#begun++;
    this.#schedule();
    return true;
  }

  /** Begins `work` in a later turn. Whoever waits looks then whether it is still wanted; it must not throw. */
  later(work: () => void): void {
    this.#waiting.push(work);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#next);
  }

  #turn(): void {
    this.#isScheduled = false;
    const work = this.#waiting;
    this.#begun = Math.min(work.length, this.#perTurn);
    if (this.#begun === 0) return;
    this.#waiting = work.slice(this.#begun);
    this.#schedule();
    for (let i = 0; i < this.#begun; i++) work[i]!();
  }
}

/** Requests that begin in one turn, at either end of a tunnel; measured: 8 costs more system calls than it saves waiting. */
export const REQUESTS_PER_TURN = 16;
