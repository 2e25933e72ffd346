/** How long a response says that its body is, which must then be true. */
export class StatedLength {
  #stated = Number.POSITIVE_INFINITY;
  #seen = 0;

  /** Bytes of the body so far. */
  get seen(): number {
    return this.#seen;
  }

  /** The length that a head names. Throws where that is no length, or not the only one. */
  state(text: string): void {
    const isFirst = this.#stated === Number.POSITIVE_INFINITY;
    if (!isFirst || !/^\d{1,15}$/.test(text)) throw new Error(`Cannot send body of length "${text}"`);
    this.#stated = Number(text);
  }

  /** More has come. False: more than was stated. */
  add(bytes: number): boolean {
    this.#seen += bytes;
    return this.#seen <= this.#stated;
  }

  /** True while bytes of a body of stated length are missing. */
  get isShort(): boolean {
    return this.#stated !== Number.POSITIVE_INFINITY && this.#seen !== this.#stated;
  }
}
