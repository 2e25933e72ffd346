import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CssRewriter, rewriteCss } from "../../../../../src/broker/ingress/response/css_rewriter.ts";
import { assertHolds } from "../../../../support/property.ts";

const translate = (url: string) => url.startsWith("/in/") ? `/out/${url.slice(4)}` : url;

const TABLE: [css: string, expected: string][] = [
  ["a{b:url(/in/x)}", "a{b:url(/out/x)}"],
  ["a{b:URL( /in/x )}", "a{b:URL( /out/x )}"],
  ['a{b:url("/in/x")}', 'a{b:url("/out/x")}'],
  ["a{b:url( '/in/x' )}", "a{b:url( '/out/x' )}"],
  ["@import '/in/x';", "@import '/out/x';"],
  ['@IMPORT "/in/x" screen;', '@IMPORT "/out/x" screen;'],
  ["@import url(/in/x) print;", "@import url(/out/x) print;"],
  ['@import/**/"/in/x"', '@import/**/"/out/x"'],
  [
    "a{b:image-set('/in/x' 1x, url(/in/y) 2x, '/in/z' type('/in/t'))}",
    "a{b:image-set('/out/x' 1x, url(/out/y) 2x, '/out/z' type('/in/t'))}",
  ],
  ["a{content:'/in/x'}", "a{content:'/in/x'}"],
  ["/* url(/in/x) */", "/* url(/in/x) */"],
  ["a{b:url(\\2fin/x)}", "a{b:url(/out/x)}"],
  ["a{b:url(\\2f in/\\e9 )}", "a{b:url(\\2f in/\\e9 )}"],
  ["a{b:u\\rl(/in/x)}", "a{b:u\\rl(/in/x)}"],
  ["a{b:\\75 rl( /in/x )}", "a{b:\\75 rl( /in/x )}"],
  ["a{b:url(/in/\u00c3\u00a9)}", "a{b:url(/out/\u00c3\u00a9)}"],
  ["a{b:url(/in/x", "a{b:url(/out/x"],
  ["a{b:url('/in/x", "a{b:url('/out/x"],
  ["a{b:url(data:image/png;base64,/in/)}", "a{b:url(data:image/png;base64,/in/)}"],
  ["a{b:url(/in/x y)}", "a{b:url(/in/x y)}"],
  ["a[href='/in/x']{}", "a[href='/in/x']{}"],
];

function inPieces(css: string, cuts: readonly number[], mostHeld?: number): string {
  const one = new CssRewriter(translate, mostHeld);
  let out = "";
  let from = 0;
  for (const to of [...cuts, css.length]) {
    out += one.write(css.slice(from, to));
    from = to;
  }
  return out + one.end();
}

test("CSS: each form of URL", () => {
  for (const [css, expected] of TABLE) {
    assert.equal(rewriteCss(css, translate), expected);
    assert.equal(inPieces(css, []), expected);
  }
});

test("CSS: a long style sheet cut anywhere gives the same result", () => {
  const unit = TABLE.filter(([css]) => !/x$|x"$/.test(css)).map(([css]) => css).join("\n");
  const css = unit.repeat(200);
  const expected = rewriteCss(css, translate);
  assert.ok(css.length > 3 * 16_384);
  assertHolds(
    fc.property(fc.array(fc.nat(css.length), { maxLength: 12 }), (cuts) => {
      assert.equal(inPieces(css, cuts.sort((a, b) => a - b)), expected);
    }),
    { numRuns: 60 },
  );
  const each = Array.from({ length: 2_000 }, (_, i) => 16_000 + i);
  assert.equal(inPieces(css, each), expected);
});

test("CSS: a long style sheet leaves as it comes, but for what may not be cut yet", () => {
  const one = new CssRewriter(translate);
  const css = "a{b:url(/in/x)}".repeat(4_000);
  assert.equal(one.write(`${css}p{q:url(/in/`), rewriteCss(css, translate) + "p{");
  assert.equal(one.write("y)}") + one.end(), "q:url(/out/y)}");
});

test("CSS: what cannot be cut passes as it is, once it is longer than may be held", () => {
  const endless = `/*${"x".repeat(200_000)}*/a{b:url(/in/x)}`;
  const cuts = Array.from({ length: 200 }, (_, i) => i * 1_000);
  assert.equal(inPieces(endless, cuts, 50_000), endless);
  assert.equal(inPieces(endless, cuts), endless.replace("/in/", "/out/"));
});
