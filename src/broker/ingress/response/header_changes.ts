import type { HeaderList } from "../../../protocol/heads.ts";
import type { HeaderChange } from "../../app_traffic.ts";

/** The changes of a list; null where there are none. */
export function changesOf(changes: readonly HeaderChange[]): readonly HeaderChange[] | null {
  return changes.length === 0 ? null : changes.map((change) => ({ ...change, name: change.name.trim() }));
}

/** Makes the changes, in their order, in place. */
export function applyChanges(headers: HeaderList, changes: readonly HeaderChange[]): void {
  for (const { action, name, value = "" } of changes) {
    if (action !== "add") removeHeader(headers, name.toLowerCase());
    if (action !== "remove") headers.push(name, value);
  }
}

function removeHeader(headers: HeaderList, lower: string): void {
  let kept = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    if (name.length === lower.length && name.toLowerCase() === lower) continue;
    headers[kept] = name;
    headers[kept + 1] = headers[i + 1]!;
    kept += 2;
  }
  headers.length = kept;
}
