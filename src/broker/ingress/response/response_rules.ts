import type { App } from "../../model.ts";
import type { HeaderChange } from "../../app_traffic.ts";
import { type BodyRules, bodyRulesOf } from "./body_rules.ts";
import { changesOf } from "./header_changes.ts";
import { type HeaderTranslation, headerTranslationOf } from "./header_translation.ts";
import { UrlMap } from "./url_map.ts";

/** What is done to the responses of a route; each part is null where it is off. */
export interface ResponseRules {
  readonly translation: HeaderTranslation | null;
  readonly body: BodyRules | null;
  readonly changes: readonly HeaderChange[] | null;
}

/** Where a route leads. */
export interface RoutePlace {
  readonly internalOrigin: string;
  readonly internalPath: string;
  readonly prefix: string;
}

/** Compiles what an app's settings say of responses; null where nothing is switched on. */
export function responseRulesOf(
  app: App,
  { internalOrigin, internalPath, prefix }: RoutePlace,
): ResponseRules | null {
  const map = new UrlMap({
    internalOrigin,
    internalPath,
    externalPrefix: prefix,
    userHost: app.hostHeader === "user",
  });
  const translation = headerTranslationOf(app, map);
  const body = bodyRulesOf(app, map);
  const changes = changesOf(app.responseHeaders);
  return translation === null && body === null && changes === null ? null : { translation, body, changes };
}
