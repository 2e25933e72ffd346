import type { Logging } from "../platform/logging.ts";
import type { Store } from "./store/port.ts";

/**
 * Applies what the administrator has set, now and whenever it changes; of what is not set the configuration holds.
 * Returns the way to stop.
 */
export async function followSettings(store: Store, logging: Logging): Promise<() => void> {
  const apply = async (): Promise<void> => {
    const { logLevel, sessionLog } = (await store.getSettings()).given;
    if (logLevel !== undefined) logging.setLevel(logLevel);
    if (sessionLog !== undefined) logging.setSessionLog(sessionLog);
  };
  await apply();
  return store.onChange((change) => {
    if (change.kind !== "settings") return;
    apply().catch((error) => logging.log.error("cannot read settings", { error: String(error) }));
  });
}
