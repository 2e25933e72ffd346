/** Bytes of request bodies that are kept at most, in all, to be sent again. */
const MOST = 64 * 1024 * 1024;

/** Room for what is kept of request bodies until their response begins; where it is full, requests are just not sent again. */
export class KeptBodies {
  #left: number;

  constructor(most: number = MOST) {
    this.#left = most;
  }

  /** False: there is no room for so many bytes. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** So many of those taken are kept no longer. */
  give(bytes: number): void {
    this.#left += bytes;
  }
}
