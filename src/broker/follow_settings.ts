import type { Logging } from "../platform/logging.ts";
import type { Store } from "./store/port.ts";

/**
 * Applies what the administrator has set, now and whenever it changes; until something is set the configuration holds.
 * Returns the way to stop.
 */
export async function followSettings(store: Store, logging: Logging): Promise<() => void> {
  const apply = async (): Promise<void> => {
    const { settings, version } = await store.getSettings();
    if (version <= 1) return;
    logging.setLevel(settings.logLevel);
    logging.setSessionLog(settings.sessionLog);
  };
  await apply();
  return store.onChange((change) => {
    if (change.kind !== "settings") return;
    apply().catch((error) => logging.log.error("cannot read settings", { error: String(error) }));
  });
}
