import type { Stage } from "./stage/stage.ts";

/** One line of a row's table: the figures of one contender. Absent figures were not measured. */
export interface Line {
  name: string;
  figures: Readonly<Record<string, number>>;
  /** Figures of each process, e.g. `{ broker: 19.6 }`: CPU in `cpuUnit` of the row, RSS in MB. */
  cpu?: Readonly<Record<string, number>>;
  rssMb?: Readonly<Record<string, number>>;
  /** Its first figure as a multiple of the Node hop's. */
  ratio?: number;
}

/** A promise of the product and what came of it. */
export interface Bar {
  what: string;
  value: number;
  limit: number;
  /** `least`: the value must not be lower; `most`: not higher. */
  kind: "least" | "most";
  unit: string;
  pass: boolean;
}

/** What came of a row. */
export interface RowResult {
  title: string;
  cpuUnit?: string;
  lines: Line[];
  bars: Bar[];
  /** What a reader must know to read it, e.g. that a quick run did less. */
  notes: string[];
  /** How long all of it took, starting and warming up included; set by who runs it. */
  seconds?: number;
}

/** What a row works with. */
export interface RowContext {
  stage: Stage;
  /** Do less: all of it must end within a minute. */
  quick: boolean;
  /** How often each contender has its turn. */
  rounds: number;
  /** Says what goes on now. */
  progress(text: string): void;
}

/** One row of the benchmark. */
export interface Row {
  /** For `--only`. */
  name: string;
  /** One line for `--help`. */
  summary: string;
  run(context: RowContext): Promise<RowResult>;
}

/** A value that must be at least `limit`. */
export function atLeast(what: string, value: number, limit: number, unit = ""): Bar {
  return { what, value, limit, kind: "least", unit, pass: value >= limit };
}

/** A value that must be at most `limit`. */
export function atMost(what: string, value: number, limit: number, unit = ""): Bar {
  return { what, value, limit, kind: "most", unit, pass: value <= limit };
}
