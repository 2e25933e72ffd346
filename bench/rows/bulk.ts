import { atLeast, type Row } from "../row.ts";
import type { Moved } from "../load/download.ts";
import type { Load } from "../stage/load.ts";
import { LARGE_BYTES, PART_BYTES } from "../stage/nginx.ts";
import { contenders, inTurns, productLine } from "./turns.ts";

/** A row of large bodies. */
interface BulkRow {
  name: string;
  /** Rows of one kind are warmed up together. */
  kind: "download" | "upload";
  summary: string;
  move(load: Load, origin: string, forMs: number): Promise<Moved>;
  /** Instead, for warming up: one body is enough. */
  warmUp?: BulkRow["move"];
  /** Instead, in a quick run, and what its reader must know. */
  quick?: { move: BulkRow["move"]; note: string };
}

function bulkRow({ name, kind, summary, quick, warmUp: warm, ...row }: BulkRow): Row {
  return {
    name,
    summary,
    async run(context) {
      const load = await context.stage.load();
      const forMs = context.quick ? 700 : 3_000;
      const less = context.quick ? quick : undefined;
      const move = less?.move ?? row.move;
      const lines = await inTurns(context, name, {
        contenders: await contenders(context, true),
        kind,
        load: load.pid,
        backend: (await context.stage.backend()).pid,
        async turn({ origin }, warmUp) {
          const { bytes, ms } =
            await (warmUp ? (warm ?? row.move)(load, origin, 0) : move(load, origin, forMs));
          return { work: bytes / LARGE_BYTES * 1000, figures: { "MB/s": bytes / 1e3 / ms } };
        },
      });
      return {
        title: summary,
        cpuUnit: "ms/100 MB",
        lines,
        bars: [atLeast("MB/s", productLine(lines).ratio!, 0.4, "x Node hop")],
        notes: less === undefined ? [] : [less.note],
      };
    },
  };
}

const downloads =
  (clients: number, path = "/large", bytes = LARGE_BYTES): BulkRow["move"] => (load, origin, forMs) =>
    load.download({ url: `${origin}${path}`, bytes, clients, forMs });

/** One large download. */
export const download: Row = bulkRow({
  name: "download",
  kind: "download",
  summary: "100 MB download, one client",
  move: downloads(1),
});

/** Large downloads side by side. */
export const downloads8: Row = bulkRow({
  name: "downloads",
  kind: "download",
  summary: "100 MB download, eight clients at once",
  move: downloads(8),
  warmUp: downloads(1),
  quick: {
    move: downloads(8, "/part", PART_BYTES),
    note: `a quick run's downloads have ${PART_BYTES / 1e6} MB`,
  },
});

/** One large upload. */
export const upload: Row = bulkRow({
  name: "upload",
  kind: "upload",
  summary: "100 MB upload, one client",
  move: (load, origin, forMs) => load.upload({ url: `${origin}/upload`, bytes: LARGE_BYTES, forMs }),
});
