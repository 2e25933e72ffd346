import type { ServerResponse } from "node:http";

/** Resolves once a number has stopped moving: it is the same after ten things in turn that take a moment each. */
export async function stalled(value: () => number, moment: () => Promise<unknown>): Promise<void> {
  for (let same = 0, last = -1; same < 10;) {
    await moment();
    same = value() === last ? same + 1 : 0;
    last = value();
  }
}

/** Writes a response body for as long as somebody takes it; resolves when nobody does any more. */
export async function fillResponse(res: ServerResponse, moment: () => Promise<unknown>): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, "x");
  let written = 0;
  const more = (): void => {
    while (!res.destroyed && res.write(chunk)) written += chunk.length;
    if (!res.destroyed) res.once("drain", more);
  };
  more();
  await stalled(() => written, moment);
}
