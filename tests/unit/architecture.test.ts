import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

interface SourceFile {
  /** Path from the root, e.g. `src/broker/main.ts`. */
  path: string;
  text: string;
  /** Paths from the root of our own files, and names of packages, that it imports, types included. */
  imports: { target: string; own: boolean; typeOnly: boolean }[];
}

const IMPORT =
  /^(?:import|export)\s(?<clause>[^;"]*?\sfrom\s+)?"(?<from>[^"]+)"|\bimport\(\s*"(?<lazy>[^"]+)"\s*\)/gm;

function parseSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), "utf8");
  const imports = [...text.matchAll(IMPORT)].map(({ groups }) => {
    const from = groups?.from ?? groups?.lazy ?? "";
    const own = from.startsWith(".");
    const target = own ? normalize(join(dirname(path), from)) : packageName(from);
    return { target, own, typeOnly: /^\s*type\s/.test(groups?.clause ?? "") };
  });
  return { path, text, imports };
}

function packageName(specifier: string): string {
  const parts = specifier.split("/");
  return specifier.startsWith("@") ? parts.slice(0, 2).join("/") : parts[0] ?? "";
}

const sources = globSync("src/**/*.ts", { cwd: ROOT }).sort().map(parseSource);

/** Parts of the product, by folder, and the parts that each may import beside itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  protocol: [],
  tunnel: ["platform", "protocol"],
  connector: ["platform", "protocol", "tunnel"],
  broker: ["platform", "protocol", "tunnel"],
  demo: ["platform", "protocol"],
};

const partOf = (path: string) => path.split("/")[1] ?? "";
const within = (folder: string) => (path: string) => path.startsWith(folder);

function violations(of: (file: SourceFile) => boolean, forbidden: (target: string) => boolean): string[] {
  return sources.filter(of).flatMap(({ path, imports }) =>
    imports.filter(({ own, target }) => own && forbidden(target)).map(({ target }) =>
      `${path} imports ${target}`
    )
  );
}

test("architecture: the sources are found and their imports understood", () => {
  assert.ok(sources.length > 50);
  const main = sources.find(({ path }) => path === "src/broker/main.ts");
  assert.ok(main?.imports.some(({ target }) => target === "src/broker/cli/program.ts"));
});

test("architecture: every part imports only what it may", () => {
  const parts = new Set(sources.map(({ path }) => partOf(path)));
  assert.deepEqual([...parts].filter((part) => !(part in MAY_IMPORT)), []);
  for (const [part, allowed] of Object.entries(MAY_IMPORT)) {
    const found = violations(
      ({ path }) => partOf(path) === part,
      (target) => partOf(target) !== part && !allowed.includes(partOf(target)),
    );
    assert.deepEqual(found, []);
  }
});

test("architecture: nothing in src imports from outside of src", () => {
  assert.deepEqual(violations(() => true, (target) => !target.startsWith("src/")), []);
});

test("architecture: within the broker, ingress and tunnel never import one another", () => {
  const [ingress, tunnel] = ["src/broker/ingress/", "src/broker/tunnel/"];
  assert.deepEqual(violations(({ path }) => within(ingress)(path), within(tunnel)), []);
  assert.deepEqual(violations(({ path }) => within(tunnel)(path), within(ingress)), []);
});

test("architecture: within the broker, the store imports no ingress, tunnel or admin API", () => {
  const upper = ["src/broker/ingress/", "src/broker/tunnel/", "src/broker/admin/"].map(within);
  const store = within("src/broker/store/");
  assert.deepEqual(violations(({ path }) => store(path), (path) => upper.some((one) => one(path))), []);
});

test("architecture: nothing imports a main.ts", () => {
  assert.deepEqual(violations(() => true, (target) => target.endsWith("/main.ts")), []);
});

/** Packages that more than one folder may import, with the reason. */
const SHARED_PACKAGES: Readonly<Record<string, { folders: readonly string[]; reason: string }>> = {
  commander: { folders: ["src/broker/cli", "src/connector/cli"], reason: "each program has a command line" },
  zod: {
    folders: ["src/platform", "src/broker"],
    reason: "the broker's list of certificates is a configuration value",
  },
  "@hono/node-server": {
    folders: ["src/broker"],
    reason: "serves the admin API and joins tunnel routes to node:http2",
  },
};

test("architecture: each third-party package but hono is imported from one folder, where it can be replaced", () => {
  const folders = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    for (const { target, own, typeOnly } of imports) {
      if (own || typeOnly || target.startsWith("node:") || target === "hono") continue;
      folders.set(target, (folders.get(target) ?? new Set()).add(dirname(path)));
    }
  }
  assert.ok(folders.size > 5);
  for (const [name, found] of folders) {
    const allowed = SHARED_PACKAGES[name]?.folders;
    if (allowed !== undefined) {
      const strangers = [...found].filter((folder) =>
        !allowed.some((one) => folder === one || folder.startsWith(`${one}/`))
      );
      assert.deepEqual(strangers, [], name);
      continue;
    }
    const paths = [...found].sort();
    const root = paths[0] ?? "";
    const common = paths.every((folder) => folder === root || folder.startsWith(`${root}/`)) ||
      sameArea(paths);
    assert.ok(common, `${name} is imported from ${paths.join(", ")}`);
  }
});

/** True for folders beneath one area of a program, e.g. `src/broker/admin/routes` and `src/broker/admin/schemas`. */
function sameArea(paths: readonly string[]): boolean {
  const areas = new Set(paths.map((path) => path.split("/").slice(0, 3).join("/")));
  return areas.size === 1 && [...areas][0]?.split("/").length === 3;
}

function lines(pattern: RegExp, except: (path: string) => boolean = () => false): string[] {
  return sources.filter(({ path }) => !except(path)).flatMap(({ path, text }) =>
    text.split("\n").filter((line) => pattern.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line)).map((line) =>
      `${path}: ${line.trim()}`
    )
  );
}

test("architecture: only a main.ts ends the process or sets its exit code", () => {
  assert.deepEqual(
    lines(
      /process\.exit(Code)?\b/,
      (path) => path.endsWith("/main.ts") || path === "src/demo/parent_watch.ts",
    ),
    [],
  );
});

test("architecture: nothing forks, since a single executable would start itself", () => {
  assert.deepEqual(lines(/\bfork\(|from "node:cluster"|\bfork\b.*from "node:child_process"/), []);
});

test("architecture: no payload is joined by copying on the way through lanes", () => {
  const lane = /^src\/(tunnel|broker\/(ingress|tunnel)|connector\/backend)\//;
  assert.deepEqual(lines(/Buffer\.concat/, (path) => !lane.test(path)), []);
});

test("architecture: erasable TypeScript only, and no work left for later in the code", () => {
  assert.deepEqual(lines(/^\s*(export\s+)?(const\s+)?(enum|namespace)\s+\w+\s*\{/), []);
  assert.deepEqual(
    sources.filter(({ text }) => /\b(TODO|FIXME|XXX)\b/.test(text)).map(({ path }) => path),
    [],
  );
});
