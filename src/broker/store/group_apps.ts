import type { App } from "../model.ts";
import type { AppChanges } from "./port.ts";

/** The apps of a group at a revision. */
export interface GroupApps {
  revision: number;
  apps: ReadonlyMap<string, App>;
}

/** What is known of a group with what the store says has changed since. */
export function withChanges(
  known: GroupApps | undefined,
  { revision, full, apps, removedIds }: AppChanges,
): GroupApps {
  // Two pulls may cross: the older answer must not undo the newer one.
  if (known !== undefined && !full && known.revision >= revision) return known;
  const now = new Map(full ? [] : known?.apps);
  for (const app of apps) now.set(app.id, app);
  for (const id of removedIds) now.delete(id);
  return { revision, apps: now };
}
