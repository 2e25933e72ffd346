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
}

/** Prints an answer in the way that was asked for. */
export function printAnswer(context: CliContext, answer: Answer, json: boolean): void {
  context.write(`${json ? JSON.stringify(answer.json, null, 2) : answer.text}\n`);
}
