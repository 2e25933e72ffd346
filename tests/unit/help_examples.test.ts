import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { runCli } from "../../src/broker/cli/program.ts";
import { runProgram } from "../../src/connector/cli/program.ts";

type Help = (path: readonly string[]) => Promise<string>;

const ofBroker: Help = async (path) => {
  let help = "";
  await runCli([...path, "--help"], { env: {}, write: (part) => void (help += part), warn() {} });
  return help;
};

const ofConnector: Help = async (path) => {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  stderr.resume();
  const { signal } = new AbortController();
  await runProgram([...path, "--help"], { env: {}, stdin: new PassThrough(), stdout, stderr, signal });
  stdout.end();
  return await text(stdout);
};

/** The help of a program and of each command below it, found as a person finds them: in the help above. */
async function* walk(help: Help, path: readonly string[] = []): AsyncGenerator<[string, string]> {
  const shown = await help(path);
  yield [path.join(" "), shown];
  const commands = /^Commands:\n((?: {2}.*\n?)*)/m.exec(shown)?.[1] ?? "";
  for (const [, name] of commands.matchAll(/^ {2}([a-z][a-z-]*)/gm)) {
    if (name !== "help") yield* walk(help, [...path, name!]);
  }
}

for (const [program, help, least] of [["broker", ofBroker, 50], ["connector", ofConnector, 6]] as const) {
  test(`help: every command of the ${program} has an example of its own`, async () => {
    const without: string[] = [];
    let count = 0;
    for await (const [path, shown] of walk(help)) {
      count++;
      const command = `sallyport-${program}${path === "" ? "" : ` ${path}`}`;
      const examples = /^(?:Examples?|First steps):\n((?: +.*\n?)+)/m.exec(shown)?.[1] ?? "";
      if (!new RegExp(`(?:^|[ \\n])${command}(?:[ \\n]|$)`).test(examples)) without.push(command);
    }
    assert.deepEqual(without, []);
    assert.ok(count >= least, `${count} commands`);
  });
}
