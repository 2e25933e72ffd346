import { SallyportError } from "../../platform/error.ts";

/** The entity tag of a record's version. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/**
 * The version that an `If-Match` header asks for: undefined for none and for `*`. A list is answered from `current`,
 * the version now. Throws `version_conflict` when nothing in it can match (weak tags never do: RFC 9110 section 13.1.1).
 */
export async function expectedVersion(
  header: string | undefined,
  current: () => Promise<number>,
): Promise<number | undefined> {
  if (header === undefined || header.trim() === "*") return undefined;
  const versions = header.split(",").flatMap((tag) => {
    const match = /^\s*"([0-9]{1,15})"\s*$/.exec(tag);
    return match === null ? [] : [Number(match[1])];
  });
  if (versions.length === 1) return versions[0];
  const now = await current();
  if (versions.includes(now)) return now;
  throw new SallyportError(
    "version_conflict",
    `Cannot change the record: no tag of If-Match is its version ${now}`,
  );
}
