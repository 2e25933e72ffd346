import type { Settings } from "../model.ts";
import type { Database, Queries } from "./database.ts";
import { checkVersion } from "./errors.ts";
import type { KeptSettings, Store } from "./port.ts";
import { nextVersion } from "./record.ts";

/** Settings of a new store. */
export const DEFAULT_SETTINGS: Settings = {
  latestVersion: "",
  desiredConnectorVersion: "",
  sessionLog: false,
  logLevel: "info",
  reenrolment: true,
  reenrolmentGraceDays: 90,
  sharedIdentity: "allow",
};

/** The store's calls for settings that may change while the broker runs. */
export function settingsCalls(database: Database): Pick<Store, "getSettings" | "updateSettings"> {
  return {
    getSettings: () => database.read(readSettings),

    updateSettings: (actor, patch, expectedVersion) =>
      database.write(async ({ db, now, audit, notify }) => {
        const kept = await readSettings(db);
        const { given, version } = kept;
        checkVersion("settings", { id: "settings", version }, expectedVersion);
        const changed = Object.entries(patch).filter(([key, value]) =>
          value !== undefined && value !== given[key as keyof Settings]
        );
        if (changed.length === 0) return kept;
        const next: Partial<Settings> = { ...given, ...Object.fromEntries(changed) };
        const columns = { ...nextVersion({ version }, now), value: JSON.stringify(next) };
        await db.updateTable("settings").set(columns).where("id", "=", 1).execute();
        await audit(actor, "settings.update", "settings", Object.fromEntries(changed));
        notify({ kind: "settings" });
        return { settings: { ...DEFAULT_SETTINGS, ...next }, given: next, version: columns.version };
      }),
  };
}

async function readSettings(db: Queries): Promise<KeptSettings> {
  const { value, version } = await db.selectFrom("settings").selectAll().executeTakeFirstOrThrow();
  const given: Partial<Settings> = JSON.parse(value);
  return { settings: { ...DEFAULT_SETTINGS, ...given }, given, version };
}
