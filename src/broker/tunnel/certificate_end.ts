/** So often the clock is looked at, milliseconds: it may have been set meanwhile. */
const LOOK_MS = 600_000;

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
      if (left > LOOK_MS) this.#timer = this.#wait();
      else this.#ended();
    }, Math.min(Math.max(left, 0), LOOK_MS));
  }
}
