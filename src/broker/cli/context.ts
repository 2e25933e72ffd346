/** What a command sees of the process that it runs in. */
export interface CliContext {
  env: Readonly<Record<string, string | undefined>>;
  /** Standard output: what was asked for. */
  write(text: string): void;
  /** Standard error: all else. */
  warn(text: string): void;
}

/** What a command has to say: the same for machines and for people. */
export interface Answer {
  json: unknown;
  /** Without a final line end. */
  text: string;
  /**
   * What people are told before and after `text`, on standard error: where `text` is something to be kept, such as a
   * token, it alone goes into a file or a pipe.
   */
  around?: { before: string; after: string };
}

/** Prints an answer in the way that was asked for. */
export function printAnswer(context: CliContext, answer: Answer, json: boolean): void {
  if (json) return context.write(`${JSON.stringify(answer.json, null, 2)}\n`);
  const { text, around } = answer;
  if (around !== undefined) context.warn(`${around.before}\n`);
  context.write(`${text}\n`);
  if (around !== undefined) context.warn(`${around.after}\n`);
}
