import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HtmlRewriter } from "../../../../../src/broker/ingress/response/html_rewriter.ts";
import { UrlMap } from "../../../../../src/broker/ingress/response/url_map.ts";
import { assertHolds } from "../../../../support/property.ts";

const map = new UrlMap({
  internalOrigin: "http://be.corp:8080",
  internalPath: "/wiki/",
  externalPrefix: "/docs",
  userHost: false,
});
const user = { proto: "https", host: "ext.example.com" } as const;

function rewriter(xhtml = false, mostHeld?: number): HtmlRewriter {
  return new HtmlRewriter({ map, user, xhtml }, mostHeld);
}

function whole(page: string, xhtml = false): string {
  const one = rewriter(xhtml);
  return one.write(page) + one.end();
}

const TABLE: [page: string, expected: string][] = [
  ['<a href="/wiki/a">', '<a href="/docs/a">'],
  ["<A HREF='/wiki/a' class=x>", "<A HREF='/docs/a' class=x>"],
  ["<a href=/wiki/a>", '<a href="/docs/a">'],
  ["<a href = \n /wiki/a?x=1&amp;y=2#z>", '<a href = \n "/docs/a?x=1&amp;y=2#z">'],
  ['<a href="http://be.corp:8080/wiki/a">', '<a href="https://ext.example.com/docs/a">'],
  ['<a href="HTTP://BE.corp:8080/wiki">', '<a href="https://ext.example.com/docs">'],
  ['<a href="//be.corp:8080/wiki/">', '<a href="//ext.example.com/docs/">'],
  ['<a href="  /wiki/a  ">', '<a href="  /docs/a  ">'],
  ['<a href="http:&#47;&#x2f;be.corp&colon;8080/wiki/a">', '<a href="https://ext.example.com/docs/a">'],
  ['<a href="/wikipedia">', '<a href="/wikipedia">'],
  ['<a href="a/b">', '<a href="a/b">'],
  ['<a href="#x">', '<a href="#x">'],
  ['<a href="http://other/wiki/a">', '<a href="http://other/wiki/a">'],
  ['<a href="mailto:a@be.corp">', '<a href="mailto:a@be.corp">'],
  ["<a href=\"javascript:go('/wiki/a')\">", "<a href=\"javascript:go('/wiki/a')\">"],
  ['<a title="/wiki/a" data-x="/wiki/a">', '<a title="/wiki/a" data-x="/wiki/a">'],
  ['<a href="/wiki/a" href="/wiki/b">', '<a href="/docs/a" href="/wiki/b">'],
  ['<a ping="/wiki/a  /wiki/b">', '<a ping="/docs/a  /docs/b">'],
  [
    '<img src="/wiki/a" srcset="/wiki/a 1x, /wiki/b 2x,/wiki/c"/>',
    '<img src="/docs/a" srcset="/docs/a 1x, /docs/b 2x,/docs/c"/>',
  ],
  ['<img srcset="/wiki/a, /wiki/b (x, y) 2x">', '<img srcset="/docs/a, /docs/b (x, y) 2x">'],
  ['<img srcset="/wiki/a (x(y),/wiki/b">', '<img srcset="/docs/a (x(y),/docs/b">'],
  ['<link imagesrcset="/wiki/a 100w">', '<link imagesrcset="/docs/a 100w">'],
  [
    '<form action="/wiki/a"><button formaction="/wiki/b">',
    '<form action="/docs/a"><button formaction="/docs/b">',
  ],
  [
    '<video poster="/wiki/a"><object data="/wiki/b"><p data="/wiki/b">',
    '<video poster="/docs/a"><object data="/docs/b"><p data="/wiki/b">',
  ],
  [
    '<meta http-equiv="Refresh" content="3; url=/wiki/a">',
    '<meta http-equiv="Refresh" content="3; url=/docs/a">',
  ],
  [
    "<meta http-equiv=refresh content=\"0;URL='/wiki/a'\">",
    "<meta http-equiv=refresh content=\"0;URL='/docs/a'\">",
  ],
  ['<meta name="x" content="0; url=/wiki/a">', '<meta name="x" content="0; url=/wiki/a">'],
  ['<p style="background:url(/wiki/a)">', '<p style="background:url(/docs/a)">'],
  ['<p style="background:url(&quot;/wiki/a&quot;)">', '<p style="background:url(&quot;/docs/a&quot;)">'],
  ["<p style='background:url(\"/wiki/a\")'>", "<p style='background:url(\"/docs/a\")'>"],
  [
    "<style>@import '/wiki/a';p{background:url( '/wiki/b' )}</style>/wiki/c",
    "<style>@import '/docs/a';p{background:url( '/docs/b' )}</style>/wiki/c",
  ],
  [
    "<script>a='<a href=\"/wiki/a\">'</script><a href=/wiki/b>",
    '<script>a=\'<a href="/wiki/a">\'</script><a href="/docs/b">',
  ],
  ["<!-- <a href=\"/wiki/a\"> --><a href='/wiki/b'>", "<!-- <a href=\"/wiki/a\"> --><a href='/docs/b'>"],
  [
    '<svg><image xlink:href="/wiki/a"/><a href="/wiki/b"></svg>',
    '<svg><image xlink:href="/docs/a"/><a href="/docs/b"></svg>',
  ],
  [
    '<base href="http://be.corp:8080/wiki/"><a href="/wiki/a">',
    '<base href="https://ext.example.com/docs/"><a href="/docs/a">',
  ],
  [
    '<base href="https://cdn.example/x/"><a href="/wiki/a">',
    '<base href="https://cdn.example/x/"><a href="/wiki/a">',
  ],
  [
    '<base href="https://cdn.example/"><a href="http://be.corp:8080/wiki/a">',
    '<base href="https://cdn.example/"><a href="https://ext.example.com/docs/a">',
  ],
  ["a < b & c <a href='/wiki/a'>\r\n\0\rx\u00e9\u00ff", "a < b & c <a href='/docs/a'>\r\n\0\rx\u00e9\u00ff"],
  ['<a href="/wiki/\u00c3\u00a9?&eacute;">', '<a href="/docs/\u00c3\u00a9?&eacute;">'],
  ['<a href="/wiki/a', '<a href="/wiki/a'],
  ["<style>p{background:url(/wiki/a", "<style>p{background:url(/docs/a"],
  [
    "<svg><style><!-- p{a:url(/wiki/a) --> p{a:url(/wiki/b<!>x)}<![CDATA[p{a:url(/wiki/c)}]]>p{a:url('/wiki/d')}</style></svg>",
    "<svg><style><!-- p{a:url(/wiki/a) --> p{a:url(/docs/b<!>x)}<![CDATA[p{a:url(/docs/c)}]]>p{a:url('/docs/d')}</style></svg>",
  ],
  ["<math><style>p{background:url(/wiki/a<!><", "<math><style>p{background:url(/docs/a<!><"],
  ["<!-- never closed <a href=/wiki/a>", "<!-- never closed <a href=/wiki/a>"],
  ['<meta charset="iso-2022-jp"><a href="/wiki/a">', '<meta charset="iso-2022-jp"><a href="/wiki/a">'],
  ['<meta charset="utf-16"><a href="/wiki/a">', '<meta charset="utf-16"><a href="/docs/a">'],
  [
    '<textarea><a href="/wiki/a"></textarea><title></title>',
    '<textarea><a href="/wiki/a"></textarea><title></title>',
  ],
];

test("HTML: each kind of link, as it stands in a page", () => {
  for (const [page, expected] of TABLE) assert.equal(whole(page), expected);
});

test("HTML: a whole page cut at every position gives the same result", () => {
  const page = TABLE.filter(([text]) => !/base|never closed|iso-2022|style>p|<math>|wiki\/a$/.test(text))
    .map(([text]) => text).join("\r\n<p>x</p>");
  const expected = whole(page);
  assert.notEqual(expected, page);
  for (let i = 0; i <= page.length; i++) {
    const one = rewriter();
    assert.equal(one.write(page.slice(0, i)) + one.write(page.slice(i)) + one.end(), expected, `cut at ${i}`);
  }
  const one = rewriter();
  let out = "";
  for (const character of page) out += one.write(character);
  assert.equal(out + one.end(), expected);
});

test("HTML: any page cut anywhere gives the same result, and one without links of ours is not touched", () => {
  const piece = fc.oneof(
    fc.constantFrom(...TABLE.map(([text]) => text)),
    fc.string({ unit: fc.constantFrom(..."<>\"'/=!-a \r\n&;\0\u00e9") }),
    fc.constantFrom(
      ...("<style> </style> <style/> <script> </script> <script/> <!--<script> <svg> </svg> <svg/> <math> </math> <mi> <desc> " +
        "<foreignObject> </foreignObject> <title> </title> <textarea> <xmp> <iframe> <noscript> <template> <select> <table> <p> " +
        "</p> <body> <plaintext> <![CDATA[ ]]> <!> <!--> <!-- --> <?x> </> -- url( /* */ ; &amp; &am").split(
          " ",
        ),
      "<annotation-xml encoding=text/html>",
      "<font color=x>",
      "<a href='/wiki/",
      "@import '/wiki/a'",
      "x".repeat(70_000),
    ),
  );
  assertHolds(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 4 }), (pieces, cuts) => {
      const page = pieces.join("");
      const expected = whole(page);
      const at = [...new Set(cuts.map((cut) => cut % (page.length + 1)))].sort((a, b) => a - b);
      const one = rewriter();
      let out = "";
      let from = 0;
      for (const to of [...at, page.length]) {
        out += one.write(page.slice(from, to));
        from = to;
      }
      assert.equal(out + one.end(), expected);
      const strange = page.replaceAll("wiki", "tiki");
      assert.equal(whole(strange), strange);
    }),
    { numRuns: 300 },
  );
});

test("HTML: text leaves at once, and does not wait for the next tag", () => {
  const one = rewriter();
  assert.equal(one.write("<p>now"), "<p>now");
  assert.equal(one.write(" and <a hr"), " and ");
  assert.equal(one.write('ef="/wiki/a">x'), '<a href="/docs/a">x');
});

test("HTML: in XHTML an empty element is not the start of text", () => {
  const page = '<script src="/wiki/a"/><title/><style/><a href="/wiki/b"/>';
  assert.equal(whole(page, true), page.replaceAll("/wiki/", "/docs/"));
});

test("HTML: what is longer than may be held passes as it is, from there on", () => {
  for (const endless of ["<!--", '<a title="', "<a ", "<![CDATA[", "<style>p{color:", "<style>/*"]) {
    const one = rewriter(false, 1_000);
    let out = one.write('<a href="/wiki/a">');
    let most = 0;
    for (let i = 0; i < 2_000; i++) {
      const piece = i === 0 ? endless : 'x <a href="/wiki/b"> x'.repeat(4).replaceAll(/[">]/g, "_");
      out += one.write(piece);
      most = Math.max(most, i === 0 ? 0 : out.length);
    }
    out += one.end();
    assert.ok(out.startsWith(`<a href="/docs/a">${endless}x`), endless);
    assert.equal(out.length, '<a href="/docs/a">'.length + endless.length + 1_999 * 22 * 4);
  }
});
