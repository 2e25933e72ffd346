/**
 * Rewrites the tables of `docs/configuration.md` from the specifications in the code: `node docs/generate.ts`.
 * A test keeps the document equal to them.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { BROKER_CONFIGURATION } from "../src/broker/config.ts";
import { CONNECTOR_CONFIGURATION } from "../src/connector/config.ts";
import { type ConfigurationNames, describeConfiguration } from "../src/platform/configuration.ts";

const FILE = new URL("configuration.md", import.meta.url);

/** The document with its tables made anew; what stands outside of the markers stays as it is. */
export function withConfigurationTables(document: string): string {
  return [BROKER_CONFIGURATION, CONNECTOR_CONFIGURATION].reduce(replaceTable, document);
}

function replaceTable(document: string, spec: ConfigurationNames): string {
  const begin = `<!-- begin ${spec.program} -->`;
  const end = `<!-- end ${spec.program} -->`;
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) {
    throw new Error(`Cannot find the markers of "${spec.program}" in docs/configuration.md`);
  }
  return `${document.slice(0, from + begin.length)}\n\n${table(spec)}\n\n${document.slice(to)}`;
}

function table(spec: ConfigurationNames): string {
  const rows = describeConfiguration(spec).map((entry) => {
    const example = entry.example === null ? "" : ` E.g. \`${entry.example}\``;
    const name = `\`${entry.key}\`<br>\`${entry.flag}\`<br>\`${entry.variable}\``;
    return `| ${name} | ${entry.type} | ${entry.default} | ${entry.describe}.${example} |`;
  });
  return ["| key, flag, variable | type | default | what |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

if (import.meta.main) {
  writeFileSync(FILE, withConfigurationTables(readFileSync(FILE, "utf8")));
}
