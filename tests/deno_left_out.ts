/** What the Deno run leaves out, with the reason: everything else of `tests/` must pass there. */
export const DENO_LEFT_OUT: readonly { file: string; reason: string }[] = [];
