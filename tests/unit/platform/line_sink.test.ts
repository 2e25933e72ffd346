import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import type { ByteWriter } from "../../../src/platform/byte_writer.ts";
import { LineSink } from "../../../src/platform/line_sink.ts";

/** A reader that takes a batch only when told to. */
class HeldWriter implements ByteWriter {
  readonly batches: string[] = [];
  closed = false;
  #done: ((error: Error | null) => void) | null = null;

  write(bytes: Uint8Array, done: (error: Error | null) => void): void {
    assert.equal(this.#done, null, "one write at a time");
    this.batches.push(new TextDecoder().decode(bytes));
    this.#done = done;
  }

  take(error: Error | null = null): void {
    const done = this.#done;
    this.#done = null;
    done?.(error);
  }

  close(): void {
    this.closed = true;
  }
}

test("line sink: the lines of one turn leave in one write, in order", async () => {
  const writer = new HeldWriter();
  const sink = new LineSink(writer);
  sink.add("a\n");
  sink.add("b\n");
  assert.deepEqual(writer.batches, []);
  await turn();
  assert.deepEqual(writer.batches, ["a\nb\n"]);
  writer.take();
  assert.equal(sink.queuedCharacters, 0);
});

test("line sink: a reader that stalls costs bounded memory; lost lines are counted and told when it reads again", async () => {
  const writer = new HeldWriter();
  const sink = new LineSink(writer, { maxQueuedCharacters: 100, lostLine: (lost) => `lost ${lost}\n` });
  sink.add("0123456789012345678\n");
  await turn();
  for (let i = 0; i < 1_000; i++) sink.add("0123456789012345678\n");
  assert.equal(sink.queuedCharacters, 100);
  assert.equal(sink.lost, 996);
  writer.take();
  assert.match(writer.batches[1] ?? "", /^(\d{19}\n){4}lost 996\n$/);
  writer.take();
  assert.equal(sink.queuedCharacters, 0);
  sink.add("again\n");
  await turn();
  assert.equal(writer.batches[2], "again\n");
  assert.equal(sink.lost, 996);
});

test("line sink: long queues leave in batches of bounded size", async () => {
  const writer = new HeldWriter();
  const sink = new LineSink(writer);
  for (let i = 0; i < 10_000; i++) sink.add(`${"x".repeat(99)}\n`);
  await turn();
  for (let i = 0; i < writer.batches.length; i++) writer.take();
  assert.equal(writer.batches.join("").length, 1_000_000);
  assert.ok(writer.batches.every((batch) => batch.length <= 65_700));
});

test("line sink: flush waits for what is queued, but not beyond its time", async () => {
  const writer = new HeldWriter();
  const sink = new LineSink(writer);
  await sink.flush(10_000);
  sink.add("a\n");
  await turn();
  await sink.flush(1);
  const flushed = sink.flush(60_000);
  writer.take();
  await flushed;
});

test("line sink: a reader that is gone costs nothing but the count", async () => {
  const writer = new HeldWriter();
  const sink = new LineSink(writer);
  sink.add("a\n");
  await turn();
  sink.add("b\n");
  const flushed = sink.flush(60_000);
  writer.take(new Error("EPIPE"));
  await flushed;
  sink.add("c\n");
  assert.equal(sink.lost, 3);
  assert.equal(sink.queuedCharacters, 0);
  sink.close();
  assert.equal(writer.closed, true);
});
