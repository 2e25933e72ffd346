/** A name or path as it can be given to a shell. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_.:/@*-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
