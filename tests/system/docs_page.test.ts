import assert from "node:assert/strict";
import { test } from "node:test";
import { serveAdmin } from "../../src/broker/admin/serve.ts";
import { adminFixture } from "../support/admin_fixture.ts";
import { openBrowserPage } from "../support/browser.ts";
import { needsProgram } from "../support/debian.ts";

test("page of the admin API: all of it fits a window of 1280 pixels", async (t) => {
  const chromium = needsProgram(t, "chromium", "chromium");
  if (chromium === null) return;
  const { app } = await adminFixture(t);
  const server = await serveAdmin(app, { host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  const page = await openBrowserPage(t, chromium, ["--window-size=1280,900"]);
  await page.open(`${server.url}/api/v1/docs`);
  const [inner, tables, beyond] = await page.evaluate(`(() => {
    for (const part of document.querySelectorAll("details")) part.open = true;
    const width = document.documentElement.clientWidth;
    const beyond = [...document.querySelectorAll("main *")]
      .filter((part) => part.getBoundingClientRect().right > width).map((part) => part.textContent.slice(0, 60));
    return [innerWidth, document.querySelectorAll("table").length, beyond];
  })()`) as [number, number, string[]];
  assert.equal(inner, 1_280);
  assert.ok(tables > 20, `${tables} tables`);
  assert.deepEqual(beyond, []);
});
