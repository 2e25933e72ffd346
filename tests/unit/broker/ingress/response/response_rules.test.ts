import assert from "node:assert/strict";
import { test } from "node:test";
import { responseRulesOf } from "../../../../../src/broker/ingress/response/response_rules.ts";
import { appRecord } from "../../../../support/app_record.ts";

const place = { internalOrigin: "http://be", internalPath: "/", prefix: "" };
const app = (settings: object) => appRecord({ id: "a", externalUrls: ["https://x.test"], ...settings });

test("what is switched off is null, so that no request pays for it", () => {
  const usual = responseRulesOf(app({}), place);
  assert.deepEqual([usual?.body, usual?.changes], [null, null]);
  assert.notEqual(usual?.translation, null);
  assert.equal(responseRulesOf(app({ translateHeaders: false }), place), null);
  const cookies = { secure: true, httpOnly: false, sameSite: "keep" };
  assert.notEqual(responseRulesOf(app({ translateHeaders: false, cookies }), place)?.translation, null);
  assert.notEqual(responseRulesOf(app({ compression: true }), place)?.body, null);
});

test("with translation off a policy still holds for cookies, and URLs stay", () => {
  const cookies = { secure: false, httpOnly: true, sameSite: "keep" };
  const { translation } = responseRulesOf(app({ translateHeaders: false, cookies }), {
    ...place,
    prefix: "/p",
  })!;
  const user = { proto: "https", host: "x.test" } as const;
  assert.equal(translation!.translate("set-cookie", "a=1; Path=/x", user), "a=1; Path=/x; HttpOnly");
  assert.equal(translation!.translate("Location", "http://be/x", user), "http://be/x");
});
