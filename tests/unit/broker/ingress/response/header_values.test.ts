import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  translateLinkHeader,
  translateRefresh,
} from "../../../../../src/broker/ingress/response/header_values.ts";
import { assertHolds } from "../../../../support/property.ts";

const translate = (url: string) => url.startsWith("/in") ? `/out${url.slice(3)}` : url;

test("Refresh: seconds and URL in each form", () => {
  const table: [string, string][] = [
    ["5; url=/in/x", "5; url=/out/x"],
    ["0;URL=/in/x", "0;URL=/out/x"],
    ["5, url = /in/x ", "5, url = /out/x "],
    ["5; url='/in/x'; more", "5; url='/out/x'; more"],
    ['5;url="/in/x', '5;url="/out/x'],
    ["5 /in/x", "5 /out/x"],
    ["1.5; /in/x", "1.5; /out/x"],
    ["5", "5"],
    ["5;", "5;"],
    ["url=/in/x", "url=/in/x"],
    ["5; url=http://other/in", "5; url=http://other/in"],
  ];
  for (const [value, expected] of table) assert.equal(translateRefresh(value, translate), expected);
});

test("Link: targets, and not what stands in quotes", () => {
  const table: [string, string][] = [
    ["</in/x>; rel=next", "</out/x>; rel=next"],
    [
      '</in/x>; title="</in/y>", <http://o/>,</in/z>;rel=a',
      '</out/x>; title="</in/y>", <http://o/>,</out/z>;rel=a',
    ],
    ['</in/x>; title="\\"</in/y>"', '</out/x>; title="\\"</in/y>"'],
    ["</in/x,y>", "</out/x,y>"],
    ["</in/x", "</in/x"],
    ["<>", "<>"],
    ["", ""],
  ];
  for (const [value, expected] of table) assert.equal(translateLinkHeader(value, translate), expected);
});

test("Refresh and Link: what holds nothing of ours stays byte for byte", () => {
  assertHolds(fc.property(fc.string({ unit: fc.constantFrom(..."<>\"\\,;= /inurl5' \t") }), (text) => {
    assert.equal(translateRefresh(text, (url) => url), text);
    assert.equal(translateLinkHeader(text, (url) => url), text);
  }));
});
