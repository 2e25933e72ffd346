import { ProtocolError } from "./errors.ts";

/** Throws `ProtocolError`. */
export function refuse(what: string): never {
  throw new ProtocolError(`Cannot read ${what}`);
}

/** Is it a map? */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Uint8Array);
}

/** Is it a whole number from 0 on? */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A field that is a map. */
export function record(of: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = of[name];
  return isRecord(value) ? value : refuse(`${name}: not a map`);
}

/** A field that is a list. */
export function list(of: Record<string, unknown>, name: string): unknown[] {
  const value = of[name];
  return Array.isArray(value) ? value : refuse(`${name}: not a list`);
}

/** A field that is text of at most so many characters. */
export function text(of: Record<string, unknown>, name: string, most: number): string {
  const value = of[name];
  if (typeof value !== "string" || value.length > most) {
    refuse(`${name}: not text of at most ${most} characters`);
  }
  return value;
}

/** A field that is a list of texts. */
export function texts(of: Record<string, unknown>, name: string): string[] {
  const values = list(of, name);
  for (const value of values) if (typeof value !== "string") refuse(`${name}: not a list of texts`);
  return values as string[];
}

/** A field that is a whole number from 0 on. */
export function count(of: Record<string, unknown>, name: string): number {
  const value = of[name];
  return isCount(value) ? value : refuse(`${name}: not a count`);
}

/** A field that is true or false. */
export function flag(of: Record<string, unknown>, name: string): boolean {
  const value = of[name];
  return typeof value === "boolean" ? value : refuse(`${name}: not true or false`);
}

/** A field that is one of these texts. */
export function oneOf<T extends string>(of: Record<string, unknown>, name: string, values: readonly T[]): T {
  const value = of[name];
  return values.includes(value as T) ? value as T : refuse(`${name}: not one of "${values.join('", "')}"`);
}
