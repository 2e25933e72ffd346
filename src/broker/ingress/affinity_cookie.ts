import type { HeaderList } from "../../protocol/heads.ts";
import { connectorTag } from "../registry/affinity.ts";

/** Names the connector that a user's exchanges go to, for apps with affinity by cookie; an app's id follows. */
const PREFIX = "sallyport_affinity_";

/** The tag for an app in the cookies of a request; empty when there is none. `raw`: names and values in turn. */
export function affinityTag(raw: readonly string[], appId: string): string {
  const cookie = new RegExp(`(?:^|;\\s*)${PREFIX}${appId}=([0-9a-f]{16})(?:;|$)`);
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() !== "cookie") continue;
    const tag = cookie.exec(raw[i + 1]!)?.[1];
    if (tag !== undefined) return tag;
  }
  return "";
}

/** Adds the cookie to a response where the user has none, or that of a connector that did not serve this. */
export function affinityCookie(
  headers: HeaderList,
  { affinityKey, appId, scheme }: { affinityKey: string; appId: string; scheme: string },
  connectorId: string,
): void {
  const tag = connectorTag(connectorId);
  if (tag === affinityKey) return;
  const secure = scheme === "https" ? "; Secure" : "";
  headers.push("Set-Cookie", `${PREFIX}${appId}=${tag}; Path=/; HttpOnly; SameSite=Lax${secure}`);
}
