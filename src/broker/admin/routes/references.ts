import { SallyportError } from "../../../platform/error.ts";
import type { AppSettings } from "../../model.ts";
import type { Store } from "../../store/port.ts";
import type { TokenFacts } from "../deps.ts";
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

/** Throws `invalid_request` when an app's protocol is not one of its internal URL's scheme. */
export function requireProtocolFit(
  { backendProtocol, internalUrl }: Pick<AppSettings, "backendProtocol" | "internalUrl">,
): void {
  const scheme = backendProtocol === "h2" ? "https:" : backendProtocol === "h2c" ? "http:" : null;
  if (scheme === null || internalUrl.startsWith(scheme)) return;
  const message = `"${backendProtocol}" is for an internal URL with ${scheme}//`;
  throw new AdminRequestError("invalid_request", `body.backendProtocol: ${message}`, [{
    path: "body.backendProtocol",
    message,
  }]);
}

/** Throws `invalid_request` when an app is to be at a name that the broker itself answers to: no user could reach it. */
export function refuseOwnNames(
  externalUrls: readonly string[] | undefined,
  { tunnelName, enrolName }: Pick<TokenFacts, "tunnelName" | "enrolName">,
): void {
  const own: [string, string][] = [["tunnelName", tunnelName], ["enrolName", enrolName]];
  const faults = (externalUrls ?? []).flatMap((url, index) =>
    own.filter(([, name]) => URL.parse(url)?.hostname === name.toLowerCase()).map(([key, name]) => ({
      path: `body.externalUrls.${index}`,
      message: `"${name}" is this broker's own name (${key})`,
    }))
  );
  if (faults.length === 0) return;
  const { path, message } = faults[0]!;
  throw new AdminRequestError("invalid_request", `${path}: ${message}`, faults);
}
