/** setTimeout cannot wait longer than this. */
const LONGEST_TIMER_MS = 0x7fff_ffff;

/** Tells when the certificate ends that a tunnel was opened with, which it never outlives. */
export class CertificateEnd implements Disposable {
  readonly #notAfter: number;
  readonly #ended: () => void;
  #timer: NodeJS.Timeout;

  /** `notAfter`: milliseconds since the epoch. */
  constructor(notAfter: number, ended: () => void) {
    this.#notAfter = notAfter;
    this.#ended = ended;
    this.#timer = this.#wait();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #wait(): NodeJS.Timeout {
    const left = this.#notAfter - Date.now();
    return setTimeout(() => {
      if (left > LONGEST_TIMER_MS) this.#timer = this.#wait();
      else this.#ended();
    }, Math.min(Math.max(left, 0), LONGEST_TIMER_MS));
  }
}
