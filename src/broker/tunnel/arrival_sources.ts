import type { Socket } from "node:net";

/** How it went with a source so far; who comes first when places are few. */
const RANKS = ["served", "unknown", "failing"] as const;
type Rank = (typeof RANKS)[number];

/** Most places that one source has at a time, and all failing ones together, of those there are. */
const SHARE = 7 / 8;
/** A source that failed is unknown again after so many milliseconds. */
const FORGIVEN_AFTER_MS = 60_000;
/** Sources that are remembered while nobody comes from them; the longest unseen is forgotten. */
const MOST_REMEMBERED = 10_000;

/** An address, or network, that connections come from. */
export interface Source {
  readonly name: string;
  readonly waiting: Set<Socket>;
  /** How many of its connections have a place. */
  entering: number;
  rank: Rank;
  /** When it failed, milliseconds of a monotonic clock. */
  failedAt: number;
}

/**
 * Says whose turn it is among the connections that wait: one of each source in turn, those of sources that were served
 * before others, and those of sources that failed last. No source, and not all failing ones together, gets all places, so
 * that one who comes from elsewhere finds one free.
 */
export class ArrivalSources {
  readonly #mostOfOne: number;
  readonly #active = new Map<string, Source>();
  readonly #remembered = new Map<string, { rank: Rank; failedAt: number }>();
  /** Sources with connections that wait, by rank, in the order of their turns. */
  readonly #turns: Readonly<Record<Rank, Set<Source>>> = {
    served: new Set(),
    unknown: new Set(),
    failing: new Set(),
  };
  #failingEntering = 0;

  /** `places`: how many there are in all. */
  constructor(places: number) {
    this.#mostOfOne = Math.max(1, Math.floor(places * SHARE));
  }

  /** The source of this name, as it is known now; `now`: milliseconds of a monotonic clock. */
  of(name: string, now: number): Source {
    const active = this.#active.get(name);
    if (active !== undefined) {
      if (isForgiven(active, now)) this.#rank(name, "unknown", 0);
      return active;
    }
    const before = this.#remembered.get(name);
    this.#remembered.delete(name);
    const source: Source = {
      name,
      waiting: new Set(),
      entering: 0,
      rank: before?.rank ?? "unknown",
      failedAt: before?.failedAt ?? 0,
    };
    if (isForgiven(source, now)) source.rank = "unknown";
    this.#active.set(name, source);
    return source;
  }

  /** One more waits. */
  add(source: Source, socket: Socket): void {
    source.waiting.add(socket);
    this.#turns[source.rank].add(source);
  }

  /** One of those who wait has gone, or is let in. */
  remove(source: Source, socket: Socket): void {
    if (!source.waiting.delete(socket)) return;
    if (source.waiting.size === 0) this.#turns[source.rank].delete(source);
    this.#maybeRemember(source);
  }

  /** Whose turn it is: takes it out of those who wait, and gives it a place. Undefined: nobody may come in now. */
  next(): { source: Source; socket: Socket } | undefined {
    for (const rank of RANKS) {
      if (rank === "failing" && this.#failingEntering >= this.#mostOfOne) return undefined;
      for (const source of this.#turns[rank]) {
        if (source.entering >= this.#mostOfOne) continue;
        const [socket] = source.waiting;
        this.#enter(source, 1);
        this.#turns[rank].delete(source); // Its next turn comes after those of the others.
        source.waiting.delete(socket!);
        if (source.waiting.size > 0) this.#turns[rank].add(source);
        return { source, socket: socket! };
      }
    }
    return undefined;
  }

  /** A place of this source is free again. */
  left(source: Source): void {
    this.#enter(source, -1);
    this.#maybeRemember(source);
  }

  /** A connector of this source is served. */
  served({ name }: Source): void {
    this.#rank(name, "served", 0);
  }

  /** A connection of this source held its place in vain. */
  failed({ name }: Source, now: number): void {
    this.#rank(name, "failing", now);
  }

  #enter(source: Source, by: 1 | -1): void {
    source.entering += by;
    if (source.rank === "failing") this.#failingEntering += by;
  }

  #rank(name: string, rank: Rank, failedAt: number): void {
    const source = this.#active.get(name);
    if (source === undefined) return this.#remember(name, rank, failedAt);
    if (source.rank === "failing") this.#failingEntering -= source.entering;
    if (rank === "failing") this.#failingEntering += source.entering;
    const hasTurn = this.#turns[source.rank].delete(source);
    source.rank = rank;
    source.failedAt = failedAt;
    if (hasTurn) this.#turns[rank].add(source);
  }

  #maybeRemember(source: Source): void {
    if (source.entering > 0 || source.waiting.size > 0) return;
    this.#active.delete(source.name);
    this.#remember(source.name, source.rank, source.failedAt);
  }

  #remember(name: string, rank: Rank, failedAt: number): void {
    this.#remembered.delete(name);
    if (rank === "unknown") return;
    this.#remembered.set(name, { rank, failedAt });
    if (this.#remembered.size <= MOST_REMEMBERED) return;
    const [oldest] = this.#remembered.keys();
    this.#remembered.delete(oldest!);
  }
}

function isForgiven({ rank, failedAt }: Source, now: number): boolean {
  return rank === "failing" && now - failedAt >= FORGIVEN_AFTER_MS;
}
