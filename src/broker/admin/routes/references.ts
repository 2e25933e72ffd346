import { SallyportError } from "../../../platform/error.ts";
import type { Store } from "../../store/port.ts";
import { AdminRequestError } from "../errors.ts";

/** Throws `invalid_request` when a body names a group that does not exist; the store itself would say 404. */
export async function requireGroup(store: Store, groupId: string | undefined): Promise<void> {
  if (groupId === undefined) return;
  try {
    await store.getGroup(groupId);
  } catch (error) {
    if (!(error instanceof SallyportError) || error.code !== "not_found") throw error;
    const message = `there is no group "${groupId}"`;
    throw new AdminRequestError("invalid_request", `body.groupId: ${message}`, [{
      path: "body.groupId",
      message,
    }]);
  }
}
