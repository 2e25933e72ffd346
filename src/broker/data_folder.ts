import { join } from "node:path";

/** Where a broker's files lie in its data folder. The authority's own files are in `ca`. */
export interface DataFolder {
  root: string;
  store: string;
  ca: string;
  adminToken: string;
  backups: string;
  /** There while a restore is under way, or was cut short. */
  restoring: string;
}

/** The layout of a data folder. */
export function dataFolder(root: string): DataFolder {
  return {
    root,
    store: join(root, "store.db"),
    ca: join(root, "ca"),
    adminToken: join(root, "admin-token"),
    backups: join(root, "backups"),
    restoring: join(root, "restore.unfinished"),
  };
}
