import type { Lane } from "../../tunnel/lane.ts";

/** Idle lanes beyond this many, or beyond as many as were busy, are surplus. */
const KEPT = 16;

/** The idle lanes of a tunnel: the most recently used first out, what was not needed for a whole period retired. */
export class IdleLanes {
  #stack: Lane[] = [];
  /** Fewest idle lanes since the last look: those at the bottom were never needed. */
  #fewest = 0;
  /** Lanes in the stack that have died there. */
  #dead = 0;

  /** How many there are; lanes that died while idle count until they are met. */
  get size(): number {
    return this.#stack.length;
  }

  /** One of them has died; now and then the dead are taken out, so that a connector cannot pile them up. */
  died(): void {
    this.#dead += 1;
    if (this.#dead > KEPT + this.#stack.length / 2) this.#bury();
  }

  /** A lane is idle. */
  push(lane: Lane): void {
    this.#stack.push(lane);
  }

  /** The most recently used lane that is still good. */
  pop(): Lane | undefined {
    for (;;) {
      const lane = this.#stack.pop();
      if (this.#stack.length < this.#fewest) this.#fewest = this.#stack.length;
      if (lane === undefined || lane.isIdle) return lane;
    }
  }

  /** Retires all of them. */
  retireAll(): void {
    const all = this.#stack;
    this.#stack = [];
    this.#fewest = 0;
    for (const lane of all) if (lane.isIdle) lane.retire();
  }

  /** Call once a period: retires what the whole period did not need, given how many are busy now. Returns how many. */
  retireSurplus(busy: number): number {
    const surplus = Math.min(this.#fewest, this.#stack.length - Math.max(KEPT, busy));
    const retired = surplus > 0 ? this.#stack.splice(0, surplus) : [];
    for (const lane of retired) if (lane.isIdle) lane.retire();
    this.#bury();
    this.#fewest = this.#stack.length;
    return retired.length;
  }

  #bury(): void {
    this.#stack = this.#stack.filter((lane) => lane.isIdle);
    this.#fewest = Math.min(this.#fewest, this.#stack.length);
    this.#dead = 0;
  }
}
