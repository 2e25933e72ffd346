import assert from "node:assert/strict";
import { test } from "node:test";
import { shellWord } from "../../../../src/broker/cli/shell_word.ts";

test("shell word: letters, digits and what no shell interprets stand as they are", () => {
  for (const word of ["Berlin", "/var/lib/x_1.db", "a-b", "127.0.0.1:443"]) {
    assert.equal(shellWord(word), word);
  }
});

test("shell word: everything else is quoted", () => {
  const special = [...' \t\n*?[]{}~$`"\\!#&|;<>()=^%@+,ä'];
  for (const character of special) assert.equal(shellWord(`a${character}b`), `'a${character}b'`);
  assert.equal(shellWord("a'b"), `'a'\\''b'`);
  assert.equal(shellWord(""), "''");
});
