const values = new WeakMap<Secret, string>();
const inspect = Symbol.for("nodejs.util.inspect.custom");

/** A string that prints as `***` wherever it is logged, inspected or put into JSON; `reveal()` is the only way in. */
export class Secret {
  constructor(value: string) {
    values.set(this, value);
  }

  /** The value itself: pass it straight to what needs it, never to a log. */
  reveal(): string {
    return values.get(this) ?? "";
  }

  toString(): string {
    return "***";
  }

  toJSON(): string {
    return "***";
  }

  [inspect](): string {
    return "***";
  }
}
