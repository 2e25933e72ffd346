import assert from "node:assert/strict";
import { test } from "node:test";
import type { Lookup } from "../../../../src/connector/backend/dial.ts";
import { Resolver, resolverLimits } from "../../../../src/connector/backend/resolver.ts";

type Told = Parameters<Lookup>[2];

/** A resolver over a system that answers when the test says so, with a clock of its own. */
function stage(limits = { most: 4, mostUnproven: 2 }) {
  const asked: string[] = [];
  const open = new Map<string, Told>();
  let now = 0;
  const resolver = new Resolver(
    (name, _options, told) => {
      asked.push(name);
      open.set(name, told);
    },
    limits,
    () => now,
  );
  const results: string[] = [];
  return {
    asked,
    results,
    ask: (name: string) =>
      resolver.lookup(name, { all: true }, (error, found) => {
        results.push(`${name}: ${error === null ? found[0]!.address : error.message}`);
      }),
    /** The system's answer, after some milliseconds. */
    answer: (name: string, error: Error | null = null, afterMs = 1) => {
      now += afterMs;
      open.get(name)!(error, error === null ? [{ address: "10.0.0.1", family: 4 }] : []);
    },
    pass: (ms: number) => now += ms,
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("one lookup serves all who ask for a name while it runs, and no one later", async () => {
  const { ask, asked, answer, results } = stage();
  ask("a");
  await turn();
  ask("a");
  ask("a");
  answer("a");
  assert.deepEqual(asked, ["a"]);
  assert.deepEqual(results, ["a: 10.0.0.1", "a: 10.0.0.1", "a: 10.0.0.1"]);
  ask("a");
  await turn();
  assert.deepEqual(asked, ["a", "a"]);
});

test("names that are not answered leave the others their turn", async () => {
  const { ask, asked, answer, results } = stage();
  for (const name of ["good", "fine"]) {
    ask(name);
    await turn();
    answer(name);
  }
  asked.length = 0;
  for (let i = 0; i < 100; i++) ask(`dead${i}`);
  await turn();
  assert.deepEqual(asked, ["dead0", "dead1"]);
  ask("good");
  ask("fine");
  await turn();
  answer("good");
  answer("fine");
  assert.deepEqual(results.slice(-2), ["good: 10.0.0.1", "fine: 10.0.0.1"]);
  assert.deepEqual(asked, ["dead0", "dead1", "good", "fine"]);
  answer("dead0", new Error("EAI_AGAIN"), 20_000);
  assert.equal(asked.at(-1), "dead2");
});

test("a name that was not answered for long has lost its good name, and its failure is remembered for a moment", async () => {
  const { ask, asked, answer, results, pass } = stage({ most: 2, mostUnproven: 1 });
  ask("a");
  await turn();
  answer("a");
  ask("a");
  await turn();
  answer("a", new Error("EAI_AGAIN"), 20_000);
  ask("a");
  await turn();
  assert.deepEqual(results, ["a: 10.0.0.1", "a: EAI_AGAIN", "a: EAI_AGAIN"]);
  assert.equal(asked.length, 2);
  pass(5_000);
  ask("a");
  ask("b");
  await turn();
  assert.deepEqual(asked, ["a", "a", "a"]);
  answer("a");
  assert.deepEqual(asked, ["a", "a", "a", "b"]);
});

test("a failure that came quickly is not remembered", async () => {
  const { ask, asked, answer } = stage();
  ask("a");
  await turn();
  answer("a", new Error("ENOTFOUND"));
  ask("a");
  await turn();
  assert.deepEqual(asked, ["a", "a"]);
});

test("who leaves is told nothing, and a name that nobody waits for any more is not asked for", async () => {
  const { ask, asked, answer, results, pass } = stage({ most: 2, mostUnproven: 1 });
  const leaveFirst = ask("a");
  await turn();
  const leave = [ask("b"), ask("b")];
  for (const one of leave) one();
  ask("c");
  leaveFirst();
  pass(2_000);
  answer("a", new Error("late"));
  assert.deepEqual(asked, ["a", "c"]);
  ask("a")(); // Its failure would have been told from memory.
  await turn();
  assert.deepEqual(results, []);
});

test("lookups leave two of the threads that Node has for them, where it has more than that", () => {
  assert.deepEqual(resolverLimits("32"), { most: 14, mostUnproven: 7 });
  for (const text of [undefined, "", "x", "0", "4"]) {
    assert.deepEqual(resolverLimits(text), { most: 2, mostUnproven: 1 });
  }
});
