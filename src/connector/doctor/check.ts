import { cureFor } from "./cures.ts";

/** What one check of `doctor` has found. */
export interface Check {
  name: string;
  status: "ok" | "warning" | "failed" | "skipped";
  /** What is so, for people. */
  found: string;
  /** Milliseconds that it took. */
  ms: number;
  /** Code of what is wrong. */
  code?: string;
  /** What to do about it. */
  cure?: string;
}

/** What a check tells when it does not fail. */
export type Finding = string | { status: Check["status"]; found: string; cure?: string };

/** Runs one check; an error is what is wrong, with its code. */
export async function check(name: string, work: () => Promise<Finding> | Finding): Promise<Check> {
  const since = performance.now();
  const took = () => Math.round((performance.now() - since) * 10) / 10;
  try {
    const finding = await work();
    if (typeof finding === "string") return { name, status: "ok", found: finding, ms: took() };
    return { name, ...finding, ms: took() };
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: string };
    const known = typeof code === "string" && /^[a-z][a-z0-9_]*$/.test(code) ? code : "internal_error";
    return {
      name,
      status: "failed",
      found: message ?? String(error),
      ms: took(),
      code: known,
      cure: cureFor(known),
    };
  }
}

/** A check that another failure makes pointless. */
export function skipped(name: string, why: string): Check {
  return { name, status: "skipped", found: why, ms: 0 };
}
