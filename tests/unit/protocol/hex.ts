/** Bytes from text such as `0400 61*4096`: hexadecimal, of which a piece may be repeated. */
export function fromHex(text: string): Buffer {
  return Buffer.concat(
    text.split(" ").map((piece) => {
      const [hex, times = "1"] = piece.split("*");
      return Buffer.from(hex!.repeat(Number(times)), "hex");
    }),
  );
}

/** The other way round: a run of more than 64 equal bytes is written as a repetition. */
export function toHex(bytes: Buffer): string {
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < bytes.length;) {
    let end = at + 1;
    while (end < bytes.length && bytes[end] === bytes[at]) end++;
    if (end - at > 64) {
      if (at > from) pieces.push(bytes.toString("hex", from, at));
      pieces.push(`${bytes.toString("hex", at, at + 1)}*${end - at}`);
      from = end;
    }
    at = end;
  }
  if (bytes.length > from) pieces.push(bytes.toString("hex", from));
  return pieces.join(" ");
}
