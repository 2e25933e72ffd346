import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { LaneSide } from "../../../src/tunnel/lane.ts";
import { fromHex, toHex } from "../protocol/hex.ts";
import { FakeTimers } from "./fake_timers.ts";
import { roleOf, type Transcript } from "./transcript.ts";

// What a released revision has put on the wire stays readable for ever: never change these, only add.
const FOLDER = new URL("../protocol/transcripts/", import.meta.url);
const REVISIONS = ["revision_1"];

/** Plays one side of a transcript: says what it is told to say, hears what the other side said then. */
async function replay({ stream, steps }: Transcript, side: LaneSide, pieces: number): Promise<void> {
  const role = roleOf(stream, side);
  for (const [number, step] of steps.entries()) {
    const where = `step ${number}, ${side}`;
    const bytes = fromHex(step.hex);
    if (step.from === side) {
      if (step.do !== undefined) role.act(...step.do);
      assert.equal(toHex(await role.written()), step.hex, where);
      role.heard();
    } else {
      await role.receive(bytes, bytes.length > 10_000 ? Infinity : pieces);
      assert.deepEqual(role.heard(), step.heard, where);
    }
  }
  assert.equal((await role.written()).length, 0);
  assert.ok(role.isQuiet);
}

for (const revision of REVISIONS) {
  const files = readdirSync(new URL(`${revision}/`, FOLDER)).sort();
  for (const file of files) {
    const transcript: Transcript = JSON.parse(readFileSync(new URL(`${revision}/${file}`, FOLDER), "utf8"));
    test(`transcript of ${revision}: ${transcript.name}`, async () => {
      using timers = new FakeTimers();
      for (const side of ["broker", "connector"] as const) {
        for (const pieces of [Infinity, 1, 7]) await replay(transcript, side, pieces);
      }
      assert.equal(timers.count, 0);
    });
  }
}
