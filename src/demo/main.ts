#!/usr/bin/env node
import process from "node:process";
import type { Demo } from "./demo.ts";
import { parseDemoOptions, USAGE, UsageError } from "./options.ts";

/** The Node release that the sources run on; it comes with the development dependencies. */
const NODE_MAJOR = 26;

async function main(): Promise<number> {
  if (Number.parseInt(process.versions.node) < NODE_MAJOR) {
    process.stderr.write(
      `Cannot start the demo: this is Node ${process.versions.node}, it takes Node ${NODE_MAJOR}.\n` +
        `Run "npm install", then "npm run demo", which uses the one that came with it.\n`,
    );
    return 2;
  }
  let options;
  try {
    options = parseDemoOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n(npm run demo -- --help explains)\n`);
    return 2;
  }
  if (options === null) {
    process.stdout.write(USAGE);
    return 0;
  }

  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stop.abort());
  // Loaded only now, on a runtime known to have what it takes.
  const { runDemo } = await import("./demo.ts");
  const { json } = options;
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  try {
    await runDemo(options, (line) => say(`${line} ...`), (demo) => {
      if (json) process.stdout.write(`${JSON.stringify(forScripts(demo))}\n`);
      else process.stdout.write(forPeople(demo));
    }, stop.signal);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    say(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

function forScripts({ publicUrl, adminUrl, adminToken, brokerPid, connectors }: Demo) {
  return { publicUrl, adminUrl, adminToken, brokerPid, connectors };
}

function forPeople(demo: Demo): string {
  const connectors = demo.connectors.map(({ id, pid }) => `${id} (process ${pid})`).join(
    "\n                 ",
  );
  return `
  Public URL     ${demo.publicUrl}
  publishes      ${demo.internalUrl}
  through        ${connectors}

  Admin API      ${demo.adminUrl}
  its token in   ${demo.adminTokenFile}

  Ctrl-C stops all of it and removes its folder.

`;
}

process.exitCode = await main();
