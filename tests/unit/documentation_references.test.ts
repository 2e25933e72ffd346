/** What the pages refer to is there: links, headings, files, tests, commands and their flags. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createProgram, runCli } from "../../src/broker/cli/program.ts";
import { runProgram } from "../../src/connector/cli/program.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PAGES = [...globSync("*.md", { cwd: ROOT }), ...globSync("docs/*.md", { cwd: ROOT })].sort();
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** Code blocks of a page by their language. */
function codeBlocks(text: string, language: string): string[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter((block) => block[1] === language)
    .map((block) => block[2]!);
}

/** Pieces of code within the text of a page. */
function codeSpans(text: string): string[] {
  const prose = text.replace(/^```.*?^```$/gms, "");
  return [...prose.matchAll(/`([^`]+)`/g)].map((span) => span[1]!.replaceAll(/\s+/g, " "));
}

/** Anchors of a page's headings, made as code hosts make them. */
function anchors(text: string): string[] {
  return [...text.replace(/^```.*?^```$/gms, "").matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

/** Everything that looks like a call of a program: lines of shell blocks, and code within the text. */
function calls(program: string): { page: string; call: string }[] {
  return PAGES.flatMap((page) => {
    const text = read(page);
    const lines = codeBlocks(text, "sh").flatMap((block) => block.split("\n")).flatMap((line) =>
      line.split("&&")
    );
    return [...lines, ...codeSpans(text)].map((line) => line.trim()).filter((line) =>
      line.startsWith(`${program} `)
    ).map((call) => ({ page, call }));
  });
}

test("docs: every link between pages leads to a file and a heading", () => {
  const broken: string[] = [];
  let links = 0;
  for (const page of PAGES) {
    for (const [, target] of read(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target!)) continue;
      links += 1;
      const [path, anchor] = target!.split("#") as [string, string?];
      const file = path === "" ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(ROOT, file))) broken.push(`${page}: ${target}`);
      else if (anchor !== undefined && !anchors(read(file)).includes(anchor)) {
        broken.push(`${page}: ${target}`);
      }
    }
  }
  assert.ok(links > 20);
  assert.deepEqual(broken, []);
});

test("docs: every file of the sources and tests that a page names is there", () => {
  const missing: string[] = [];
  for (const page of PAGES) {
    for (const span of codeSpans(read(page))) {
      if (!/^(src|tests|bench|docs|compile)\/[\w./*-]+$/.test(span)) continue;
      if (globSync(span, { cwd: ROOT }).length === 0) missing.push(`${page}: ${span}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("docs/http.md: the tests that its tables name are there", () => {
  const known = globSync("tests/system/*.test.ts", { cwd: ROOT }).map((path) => basename(path, ".test.ts"));
  const cells = [...read("docs/http.md").matchAll(/\| ([^|]+) \|$/gm)].map(([, cell]) => cell!.trim());
  const named = cells.filter((cell) => /^(`\w+`(, )?)+$/.test(cell)).flatMap((cell) => codeSpans(cell));
  assert.ok(named.length > 20);
  assert.deepEqual(named.filter((name) => !known.includes(name)), []);
});

test("docs: every script of npm that a page runs is in package.json", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const unknown: string[] = [];
  for (const { page, call } of calls("npm run")) {
    const script = call.split(" ").slice(2).find((word) => !word.startsWith("--"));
    if (script !== undefined && scripts[script] === undefined) unknown.push(`${page}: ${call}`);
  }
  assert.deepEqual(unknown, []);
});

/** What `--help` says of a command; empty where there is no such command. */
async function helpOf(program: string, words: readonly string[]): Promise<string> {
  let text = "";
  const write = (piece: string) => void (text += piece);
  const args = [...words, "--help"];
  if (program === "sallyport-broker") {
    const code = await runCli(args, { env: {}, write, warn() {} });
    return code === 0 ? text : "";
  }
  const stdout = new PassThrough();
  stdout.setEncoding("utf8").on("data", write);
  const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
  const code = await runProgram(args, { env: {}, ...streams, signal: new AbortController().signal });
  return code === 0 ? text : "";
}

/** Commands of the broker that have commands of their own. */
const GROUPS = createProgram({ env: {}, write() {}, warn() {} }).commands
  .filter(({ commands }) => commands.length > 0)
  .map((command) => ({ name: command.name(), commands: command.commands.map((one) => one.name()) }));

for (const program of ["sallyport-broker", "sallyport-connector"]) {
  test(`docs: every command line of ${program} has a command and flags that exist`, async () => {
    const found = calls(program);
    const wrong: string[] = [];
    for (const { page, call } of found) {
      const words = call.replace(/ [|<>#].*$/, "").replace(/ \.\.\.$/, "").split(" ").slice(1);
      if (!/^[a-z]/.test(words[0] ?? "-")) continue; // All of them at once, or a flag of the program itself.
      const isGroup = program === "sallyport-broker" && GROUPS.some(({ name }) => name === words[0]);
      const command = words.slice(0, isGroup ? 2 : 1);
      const help = await helpOf(program, command);
      const isThere = help.startsWith(`Usage: ${program} ${command.join(" ")}`);
      const flags = words.filter((word) => word.startsWith("--"));
      const unknown = flags.filter((flag) => !new RegExp(`${flag}\\b`).test(help));
      if (!isThere || unknown.length > 0) wrong.push(`${page}: ${call}`);
    }
    assert.ok(found.length > 3);
    assert.deepEqual(wrong, []);
  });
}

test("docs: commands of the broker that are named without it exist", () => {
  const wrong: string[] = [];
  for (const page of PAGES) {
    for (const span of codeSpans(read(page))) {
      const [first, second] = span.split(" ");
      const group = GROUPS.find(({ name }) => name === first);
      if (group === undefined || second === undefined || !/^[a-z-]+$/.test(second)) continue;
      if (!group.commands.includes(second)) wrong.push(`${page}: ${span}`);
    }
  }
  assert.deepEqual(wrong, []);
});
