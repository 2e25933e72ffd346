/** What became of connections to the tunnel name that were not served. `docs/metrics.md` says of each what it stands for. */
export const TURNED_AWAY_CAUSES = ["full", "source_full", "waited_too_long", "place_lost"] as const;

/** One of {@linkcode TURNED_AWAY_CAUSES}. */
export type TurnedAwayCause = (typeof TURNED_AWAY_CAUSES)[number];
