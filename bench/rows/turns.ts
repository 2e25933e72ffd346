import { cpuMicros, rssMb } from "../measure/process.ts";
import { median, medians } from "../measure/statistics.ts";
import type { Line, RowContext } from "../row.ts";
import { release, spread } from "../stage/cpus.ts";
import type { Contender } from "../stage/stage.ts";

/** What one turn of a contender gave: how much work it did, and figures by name; the first is what ratios compare. */
export interface Turn {
  /** CPU time is divided by this. */
  work: number;
  figures: Record<string, number>;
}

/** Contenders, and what they are to do in turns. */
export interface Comparison {
  contenders: readonly Contender[];
  /** Kind of work: what was warmed up for it is warm for all rows of this kind. */
  kind: string;
  /** Process ids of who makes the load, null where each turn starts that itself, on `cpuOf(0)`; and of who answers it. */
  load: number | null;
  backend: number;
  /** One turn; `warmUp`: its figures are not used. */
  turn(contender: Contender, warmUp: boolean): Promise<Turn>;
}

/** The contender that ratios refer to. */
const YARDSTICK = "Node hop";

/** Nginx hop (where `withNginx`), Node hop and product. */
export async function contenders({ stage }: RowContext, withNginx: boolean): Promise<Contender[]> {
  const hop = await stage.nodeHop();
  const product = await stage.product();
  const both: Contender[] = [
    { name: YARDSTICK, origin: hop.origin, processes: { hop: hop.pid } },
    {
      name: "Sallyport",
      origin: product.origin,
      processes: { broker: product.broker.child.pid, connector: product.connector.child.pid },
    },
  ];
  if (!withNginx) return both;
  const nginx = await stage.nginxHop();
  return [{ name: "nginx hop", isWarm: true, origin: nginx.origin, processes: { hop: nginx.pid } }, ...both];
}

/**
 * Lets each contender have its turn, A B C A B C ..., and gives the medians; `what` is for the progress. The first, shorter
 * turn only warms up; in a quick run one is enough for all rows that do the same kind of work. In its turn each process on the
 * path has another CPU than its neighbours.
 */
export async function inTurns(context: RowContext, what: string, comparison: Comparison): Promise<Line[]> {
  const { contenders: all, kind } = comparison;
  const taken = new Map(all.map(({ name }) => [name, [] as Taken[]]));
  for (const contender of all) {
    const warm = `${kind}: ${contender.name}`;
    if (context.quick && (contender.isWarm || context.stage.warm.has(warm))) continue;
    context.stage.warm.add(warm);
    context.progress(`${what}: warming up, ${contender.name}`);
    await onPath(comparison, contender, () => comparison.turn(contender, true));
  }
  for (let round = 1; round <= context.rounds; round++) {
    for (const contender of all) {
      context.progress(`${what}: round ${round} of ${context.rounds}, ${contender.name}`);
      const turn = () => measured(contender, comparison.turn);
      taken.get(contender.name)!.push(await onPath(comparison, contender, turn));
    }
  }
  const lines = all.map(({ name }) => summary(name, taken.get(name)!));
  const yardstick = first(lines.find(({ name }) => name === YARDSTICK));
  return lines.map((line) => ({ ...line, ratio: first(line) / yardstick }));
}

/** The CPU time of a line's process as a multiple of the Node hop's. */
export function cpuRatio(lines: readonly Line[], process: string): number {
  const product = lines.find(({ cpu }) => cpu?.[process] !== undefined)!;
  const yardstick = lines.find(({ name }) => name === YARDSTICK)!;
  return product.cpu![process] / yardstick.cpu!.hop;
}

/** The product's line. */
export function productLine(lines: readonly Line[]): Line {
  return lines.find(({ name }) => name === "Sallyport")!;
}

/** Does `work` while each process on the path through `contender` has another CPU than its neighbours. */
async function onPath<T>(
  { load, backend }: Comparison,
  { processes }: Contender,
  work: () => Promise<T>,
): Promise<T> {
  const path = [load, ...Object.values(processes), backend];
  spread(path);
  try {
    return await work();
  } finally {
    release(path.filter((pid) => pid !== null));
  }
}

interface Taken extends Turn {
  cpu: Record<string, number>;
  rssMb: Record<string, number>;
}

async function measured(
  contender: Contender,
  turn: (contender: Contender, warmUp: boolean) => Promise<Turn>,
): Promise<Taken> {
  const processes = Object.entries(contender.processes);
  const before = processes.map(([, pid]) => cpuMicros(pid));
  const done = await turn(contender, false);
  return {
    ...done,
    cpu: Object.fromEntries(
      processes.map(([name, pid], at) => [name, (cpuMicros(pid) - before[at]) / done.work]),
    ),
    rssMb: Object.fromEntries(processes.map(([name, pid]) => [name, rssMb(pid)])),
  };
}

function summary(name: string, turns: readonly Taken[]): Line {
  return {
    name,
    figures: medians(turns.map(({ figures }) => figures)),
    cpu: medians(turns.map(({ cpu }) => cpu)),
    rssMb: medians(turns.map(({ rssMb }) => rssMb)),
  };
}

function first(line: Line | undefined): number {
  return line === undefined ? NaN : median(Object.values(line.figures).slice(0, 1));
}
