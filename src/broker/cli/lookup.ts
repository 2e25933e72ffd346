import { AdminApiError, CommandError } from "./errors.ts";
import type { AdminClient } from "./admin_client.ts";

/** The record that a person means by an id or a name. Throws `reference_unknown`, `reference_ambiguous`. */
export async function lookup<T extends { id: string }>(
  client: AdminClient,
  path: "groups" | "apps" | "connectors",
  reference: string,
  nameOf: (item: T) => string,
): Promise<T> {
  const kind = path.slice(0, -1);
  if (/^[A-Za-z0-9_-]{1,128}$/.test(reference)) {
    const byId = await client.get<T>(`${path}/${reference}`).catch(nullIfNotFound);
    if (byId !== null) return byId;
  }
  const named = (await client.list<T>(path)).filter((item) => nameOf(item) === reference);
  if (named.length === 0) {
    throw new CommandError(
      "reference_unknown",
      `Cannot find ${kind} "${reference}": no id and no name is that`,
    );
  }
  if (named.length > 1) {
    const ids = named.slice(0, 10).map(({ id }) => id).join(", ");
    throw new CommandError(
      "reference_ambiguous",
      `Cannot tell which ${kind} "${reference}" is: name one of ${ids}`,
    );
  }
  return named[0]!;
}

function nullIfNotFound(error: unknown): null {
  if (error instanceof AdminApiError && error.code === "not_found") return null;
  throw error;
}
