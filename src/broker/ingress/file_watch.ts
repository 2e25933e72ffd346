import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";

/** A watch over files, until closed. */
export interface FileWatch extends Disposable {
  close(): void;
}

/** Times in milliseconds of a {@linkcode watchFiles}. */
export interface FileWatchOptions {
  /** Changes this close together are told once: two files of a pair are rarely written at one instant. */
  readonly debounceMs: number;
  /** How often the files are looked at besides, since not every file system tells of changes. */
  readonly pollMs: number;
}

/** A folder that never comes to rest delays the news by this many times `debounceMs`, no more. */
const LONGEST_DEBOUNCE = 10;

/**
 * Calls `onChange` after some of the files may have changed. Watches the folders, not the files: those are often
 * replaced by renaming or by swapping a link somewhere above (certbot, Kubernetes), which ends a watch of the file.
 */
export function watchFiles(
  files: readonly string[],
  { debounceMs, pollMs }: FileWatchOptions,
  onChange: () => void,
): FileWatch {
  const watchers: FSWatcher[] = [];
  let debounce: NodeJS.Timeout | undefined;
  let latest = 0;
  let last: string | undefined;
  let closed = false;

  const changed = () => {
    if (closed) return;
    const now = performance.now();
    if (debounce === undefined) latest = now + LONGEST_DEBOUNCE * debounceMs;
    clearTimeout(debounce);
    debounce = setTimeout(() => {
      debounce = undefined;
      onChange();
    }, Math.max(0, Math.min(debounceMs, latest - now)));
  };
  for (const folder of new Set(files.map((file) => dirname(file)))) {
    try {
      const watcher = watch(folder, { persistent: false }, changed);
      // Folder gone, or no more watches to be had: the poll sees to it.
      watcher.on("error", () => watcher.close());
      watchers.push(watcher);
    } catch { /* As above. */ }
  }
  const poll = async () => {
    const now = (await Promise.all(files.map(lookAt))).join("\n");
    if (last !== undefined && now !== last) changed();
    last = now;
  };
  void poll();
  const timer = setInterval(poll, pollMs);
  timer.unref();

  const close = () => {
    closed = true;
    clearTimeout(debounce);
    clearInterval(timer);
    for (const watcher of watchers) watcher.close();
  };
  return { close, [Symbol.dispose]: close };
}

async function lookAt(file: string): Promise<string> {
  try {
    // Follows links, so that one swapped anywhere on the way shows as another inode or time.
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(file);
    return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
}
