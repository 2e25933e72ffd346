/** What an authority elsewhere might run: signs a TBSCertificate from standard input. Arguments: key file, how it behaves. */
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import process from "node:process";

const [keyFile = "", how = ""] = process.argv.slice(2);
const base64 = readFileSync(0, "utf8").replace(/-----[A-Z ]+-----|\s/g, "");
const tbs = Buffer.from(base64, "base64");

/** A DER element. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

if (how === "fail") process.exit(3);
if (how === "hang") setInterval(() => {}, 1_000);
else if (how === "long") process.stdout.write("x".repeat(1_000_000));
else {
  // A certificate for longer than was asked for.
  if (how === "other") tbs.writeUInt8(tbs.readUInt8(tbs.length - 1) ^ 1, tbs.length - 1);
  const signature = sign("sha256", tbs, createPrivateKey(readFileSync(keyFile)));
  const ecdsaWithSha256 = Buffer.from("300a06082a8648ce3d040302", "hex");
  const bits = der(0x03, Buffer.concat([Buffer.of(0), signature]));
  const text = der(0x30, Buffer.concat([tbs, ecdsaWithSha256, bits])).toString("base64").replace(
    /.{64}/g,
    "$&\n",
  );
  process.stdout.write(`-----BEGIN CERTIFICATE-----\n${text.trimEnd()}\n-----END CERTIFICATE-----\n`);
}
