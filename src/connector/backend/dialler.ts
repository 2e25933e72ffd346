import { Dial } from "./dial.ts";
import type { Dialled, DialSettings } from "./dial.ts";
import type { Origin } from "./origin.ts";

/** Makes the connections of one app, and knows those still being made so that they can be given up. */
export class Dialler {
  readonly #settings: DialSettings;
  readonly #dials = new Set<Dial>();

  constructor(settings: DialSettings) {
    this.#settings = settings;
  }

  get origin(): Origin {
    return this.#settings.origin;
  }

  /** Connections being made. */
  get dialling(): number {
    return this.#dials.size;
  }

  dial(dialled: Dialled): void {
    const dial = new Dial(this.#settings, (error, socket) => {
      this.#dials.delete(dial);
      dialled(error, socket);
    });
    this.#dials.add(dial);
    dial.start();
  }

  /** Gives up every connection being made. */
  close(): void {
    for (const dial of this.#dials) dial.cancel();
  }
}
