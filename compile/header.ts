import { closeSync, openSync, readSync } from "node:fs";

/** The most that is read of a file: Windows' header begins behind a small program for DOS. */
const MOST = 4_096;

/** ELF's and Windows' numbers for the processors that executables are made for. */
const ELF_MACHINES: Record<number, string> = { 0x3e: "x64", 0xb7: "arm64" };
const PE_MACHINES: Record<number, string> = { 0x8664: "x64", 0xaa64: "arm64" };

/** What an executable's header says it is for, in the words of targets: `linux-x64`, `linux-arm64`, `win-x64`. Throws for anything else. */
export function targetOf(path: string): string {
  const bytes = Buffer.alloc(MOST);
  const file = openSync(path, "r");
  try {
    readSync(file, bytes, 0, MOST, 0);
  } finally {
    closeSync(file);
  }
  const name = elf(bytes) ?? pe(bytes);
  if (name === undefined) throw new Error(`Cannot tell what "${path}" runs on: its header is not known`);
  return name;
}

/** System V ABI, "ELF Header": 64 bits, little endian, `e_machine` at 18. */
function elf(bytes: Buffer): string | undefined {
  if (bytes.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return undefined;
  const machine = ELF_MACHINES[bytes.readUInt16LE(18)];
  return machine && `linux-${machine}`;
}

/** Microsoft's "PE Format": where the signature is stands at 0x3c, the machine follows it. */
function pe(bytes: Buffer): string | undefined {
  const at = bytes.readUInt32LE(0x3c);
  if (bytes.toString("latin1", 0, 2) !== "MZ" || at > MOST - 6) return undefined;
  if (bytes.toString("latin1", at, at + 4) !== "PE\0\0") return undefined;
  const machine = PE_MACHINES[bytes.readUInt16LE(at + 4)];
  return machine && `win-${machine}`;
}
