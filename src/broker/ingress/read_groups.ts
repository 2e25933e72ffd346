import type { App } from "../model.ts";
import { isNotFound } from "../store/errors.ts";
import { type GroupApps, withChanges } from "../store/group_apps.ts";
import type { Store } from "../store/port.ts";

const PAGE = 1_000;

/**
 * All apps, and by their group. Several pages are not of one moment: of a group that is in `changed` by the
 * end no revision is known, so that all of it is read again.
 */
export async function readGroups(
  store: Pick<Store, "listApps">,
  changed: { has(groupId: string): boolean },
): Promise<{ groups: Map<string, GroupApps>; apps: readonly App[] }> {
  const apps: App[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.listApps({ limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
    apps.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  const groups = new Map<string, { revision: number; apps: Map<string, App> }>();
  for (const app of apps) {
    let group = groups.get(app.groupId);
    if (group === undefined) groups.set(app.groupId, group = { revision: 0, apps: new Map() });
    if (!changed.has(app.groupId)) group.revision = Math.max(group.revision, app.revision);
    group.apps.set(app.id, app);
  }
  return { groups, apps };
}

/** Brings one group up to date, and gives its apps that are new or others now. */
export async function refreshGroup(
  store: Pick<Store, "appChanges">,
  groups: Map<string, GroupApps>,
  groupId: string,
): Promise<readonly App[]> {
  const known = groups.get(groupId);
  try {
    const changes = await store.appChanges(groupId, known?.revision ?? 0);
    const now = withChanges(known, changes);
    if (now.apps.size > 0) groups.set(groupId, now);
    else groups.delete(groupId); // It may be deleted next, of which nobody tells a router.
    return changes.apps;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    groups.delete(groupId);
    return [];
  }
}
