/** A name or path as it can be given to a shell; bare only where no shell reads anything into it. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
