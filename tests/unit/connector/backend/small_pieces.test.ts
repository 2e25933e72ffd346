import assert from "node:assert/strict";
import { test } from "node:test";
import { RequestBody } from "../../../../src/connector/backend/request_body.ts";
import { SMALL_BYTES, SmallPieces } from "../../../../src/connector/backend/small_pieces.ts";

const text = (bytes: Uint8Array | null) => bytes === null ? null : Buffer.from(bytes).toString("latin1");

test("one piece is kept as it is, several are one, in order", () => {
  const small = new SmallPieces();
  assert.equal(small.take(), null);
  const one = Buffer.from("a");
  assert.equal(small.add(one), null);
  assert.equal(small.take(), one);
  for (const piece of ["a", "bc", "d".repeat(SMALL_BYTES), ""]) {
    assert.equal(small.add(Buffer.from(piece)), null);
  }
  assert.equal(small.length, 3 + SMALL_BYTES);
  assert.equal(text(small.take()), `abc${"d".repeat(SMALL_BYTES)}`);
  assert.equal(small.length, 0);
});

test("what is full makes room: nothing is lost, and what is kept is little more than what was given", () => {
  const small = new SmallPieces();
  let out = "";
  let expected = "";
  let kept = 0;
  const take = (pieces: Uint8Array | null) => {
    if (pieces === null) return;
    out += text(pieces);
    kept += pieces.buffer.byteLength > 16_384 ? pieces.length : pieces.buffer.byteLength;
  };
  for (let i = 0; i < 100_000; i++) {
    const piece = String.fromCharCode(0x61 + i % 26).repeat(1 + i % 3);
    expected += piece;
    take(small.add(Buffer.from(piece)));
  }
  take(small.take());
  assert.ok(out === expected);
  assert.ok(kept < 2 * expected.length, `${kept} bytes kept for ${expected.length}`);
});

/** A body and what its reader got. */
function body() {
  let drains = 0;
  const source = new RequestBody({ drained: () => drains++ } as never);
  const got: string[] = [];
  const read = () => source.on("data", (piece: Uint8Array) => got.push(text(piece)!));
  return { source, got, read, drains: () => drains };
}

test("a body hands small pieces on: those of one turn together, the others each in its turn", async () => {
  const { source, got, read } = body();
  read();
  await new Promise(setImmediate);
  for (const piece of ["a", "b", "c"]) source.write(Buffer.from(piece));
  await new Promise(setImmediate);
  source.write(Buffer.from("d"));
  await new Promise(setImmediate);
  source.write(Buffer.from("e"));
  source.write(Buffer.alloc(SMALL_BYTES + 1, "f"));
  source.write(Buffer.from("g"));
  source.finish();
  await new Promise((resolve) => source.on("end", resolve));
  assert.deepEqual(got, ["abc", "d", "e", "f".repeat(SMALL_BYTES + 1), "g"]);
});

for (const when of ["before there is a reader", "while its reader has paused"]) {
  test(`small pieces that come ${when} are joined; the writer is told to wait, then to go on`, async () => {
    const { source, got, read, drains } = body();
    if (when.startsWith("while")) {
      read();
      await new Promise(setImmediate);
      source.pause();
    }
    let written = 0;
    while (source.write(Buffer.from(String.fromCharCode(0x61 + written % 26)))) {
      written++;
      if (written % 1000 === 0) await new Promise(setImmediate);
    }
    assert.ok(written > 60_000 && written < 70_000, `${written} bytes were taken`);
    assert.deepEqual([got.length, drains()], [0, 0]);
    if (when.startsWith("while")) source.resume();
    else read();
    await new Promise(setImmediate);
    assert.equal(drains(), 1);
    assert.equal(got.join("").length, written + 1);
    assert.ok(got.length < 10, `${got.length} pieces`);
    assert.ok([...got.join("")].every((char, at) => char === String.fromCharCode(0x61 + at % 26)));
    source.write(Buffer.from("z"));
    source.finish();
    await new Promise((resolve) => source.on("end", resolve));
    assert.equal(got.at(-1), "z");
  });
}
