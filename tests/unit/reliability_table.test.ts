/** The table of docs/reliability.md: each line stands below what it was measured with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fault } from "../faults/fault.ts";
import { type TableRow, withTable } from "../faults/reliability.ts";

const EMPTY = "before\n<!-- table: begin, written by npm run test:faults -- --write -->\n\n" +
  "<!-- table: end -->\nafter\n";

const faults = ["one", "two", "three"].map((name) => ({ name, what: "", bar: "" }) as Fault);

/** A row of each fault named. */
function rows(left: string, ...names: string[]): TableRow[] {
  return names.map((name) => ({ fault: faults.find((fault) => fault.name === name)!, left }));
}

/** What a reader sees: for each heading the faults below it, with what is said of them. */
function shown(page: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  let how = "";
  for (const text of page.split("\n")) {
    if (text.startsWith("Measured with")) found[how = text] = [];
    const cells = text.split("|").map((cell) => cell.trim());
    if (text.startsWith("|") && cells[1] !== "fault" && cells[1] !== "---") {
      found[how]!.push(`${cells[1]} ${cells.at(-2)}`);
    }
  }
  return found;
}

test("lines of faults that did not run stay below what they were measured with", () => {
  const first = withTable(EMPTY, rows("old", "one", "two", "three"), faults, "a slow machine");
  const second = withTable(first, rows("new", "two"), faults, "a fast one");
  assert.deepEqual(shown(second), {
    "Measured with a fast one.": ["two new"],
    "Measured with a slow machine.": ["one old", "three old"],
  });
  const third = withTable(second, rows("newest", "one"), faults, "a fast one");
  assert.deepEqual(shown(third), {
    "Measured with a fast one.": ["one newest", "two new"],
    "Measured with a slow machine.": ["three old"],
  });
  const all = withTable(third, rows("last", "one", "two", "three"), faults, "a third");
  assert.deepEqual(shown(all), { "Measured with a third.": ["one last", "two last", "three last"] });
  assert.equal(all.startsWith("before\n") && all.endsWith("\nafter\n"), true);
});

test("the line of a fault that is no more goes; a page without a place for the table is refused", () => {
  const page = withTable(EMPTY, rows("old", "one", "two"), faults, "a machine");
  assert.deepEqual(shown(withTable(page, [], faults.slice(1), "another")), {
    "Measured with a machine.": ["two old"],
  });
  assert.throws(() => withTable("nothing here", [], faults, "a machine"));
});

test("a heading that the formatter has wrapped keeps its lines", () => {
  const how = `${"a machine with a long name, ".repeat(5)}Mr. Foo`;
  const page = withTable(EMPTY, rows("old", "one"), faults, how)
    .replace(/(?<=name,) (?=a machine)/g, "\n");
  assert.match(page, /^Measured with a machine with a long name,$/m);
  assert.deepEqual(shown(withTable(page, rows("new", "two"), faults, "another")), {
    "Measured with another.": ["two new"],
    [`Measured with ${how}.`]: ["one old"],
  });
});

test("a line without a heading is refused rather than lost, or put below another", () => {
  const two = withTable(
    withTable(EMPTY, rows("old", "one"), faults, "a machine"),
    rows("new", "two"),
    faults,
    "a fast one",
  );
  for (const how of ["a machine", "a fast one"]) {
    const page = two.replace(`Measured with ${how}`, "Measured somehow");
    assert.throws(() => withTable(page, [], faults, "another"), /measured with/);
  }
});
