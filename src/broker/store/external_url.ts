import { externalPlace } from "../external_place.ts";
import { StoreError } from "./errors.ts";

/**
 * What makes two external URLs the same: the place that requests to them are matched with, so host, port of its own
 * and path prefix, and not the scheme. Throws `value_invalid` for what is no such URL.
 */
export function externalUrlKey(text: string): string {
  const place = externalPlace(text);
  if ("fault" in place) throw new StoreError("value_invalid", `Cannot publish at "${text}": ${place.fault}`);
  const { host, port, prefix } = place;
  return `${host}${port === undefined ? "" : `:${port}`}${prefix}/`;
}
