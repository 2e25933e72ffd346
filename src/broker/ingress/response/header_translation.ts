import type { App } from "../../model.ts";
import { type Translate, translateLinkHeader, translateRefresh } from "./header_values.ts";
import { cookiePolicyOf, type CookieRules, translateSetCookie } from "./set_cookie.ts";
import type { UrlMap, UserOrigin } from "./url_map.ts";

/** Translates the few headers of a response that speak of URLs or set cookies. Made once for each route. */
export class HeaderTranslation {
  readonly #map: UrlMap | null;
  readonly #cookies: CookieRules | null;

  /** `map`: null where URLs stay as they are. */
  constructor(map: UrlMap | null, cookies: CookieRules | null) {
    this.#map = map;
    this.#cookies = cookies;
  }

  /** The value for the user, of a header that the rules of responses call `translate`. */
  translate(name: string, value: string, user: UserOrigin): string {
    const map = this.#map;
    const lower = name.toLowerCase();
    if (lower === "set-cookie") {
      return this.#cookies === null ? value : translateSetCookie(value, this.#cookies, user);
    }
    if (map === null) return value;
    const translate: Translate = (reference) => map.translate(reference, user);
    switch (lower) {
      case "refresh":
        return translateRefresh(value, translate);
      case "link":
        return translateLinkHeader(value, translate);
      default:
        return translate(value);
    }
  }
}

/** Compiles an app's settings; null where no header can change. */
export function headerTranslationOf(app: App, map: UrlMap): HeaderTranslation | null {
  const policy = cookiePolicyOf(app.cookies);
  if (!app.translateHeaders && policy === null) return null;
  const urls = app.translateHeaders ? map : null;
  return new HeaderTranslation(urls, { map: urls, policy });
}
