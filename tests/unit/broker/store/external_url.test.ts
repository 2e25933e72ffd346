import assert from "node:assert/strict";
import { test } from "node:test";
import { buildRoutes } from "../../../../src/broker/ingress/routes.ts";
import { externalUrlKey } from "../../../../src/broker/store/external_url.ts";
import { appRecord } from "../../../support/app_record.ts";

test("external URL: spellings of one place have one key", () => {
  const groups = [
    [
      "https://wiki.example.com",
      "https://WIKI.Example.com/",
      "https://wiki.example.com:443/",
      "https://wiki.example.com./",
      "http://wiki.example.com/",
    ],
    [
      "http://wiki.example.com:8080/docs",
      "http://wiki.example.com:8080/docs/",
      "http://wiki.example.com:8080/x/../docs",
    ],
    ["https://bücher.example/", "https://xn--bcher-kva.example/"],
    ["https://a.example/%7euser%3a", "http://a.example//~user:/"],
    ["https://both.example/x", "http://both.example/x"],
    ["https://p.example:8443/", "http://p.example:8443/"],
    ["https://[2001:DB8::1]/", "https://[2001:db8:0::1]:443"],
    ["https://*.example.com/", "https://*.EXAMPLE.com"],
  ];
  const keys = groups.map((group) => new Set(group.map(externalUrlKey)));
  for (const [index, key] of keys.entries()) assert.equal(key.size, 1, groups[index]!.join(" "));
  assert.equal(new Set(keys.flatMap((key) => [...key])).size, groups.length);
});

test("external URL: host, port, path and its case tell places apart; the scheme only says which port is none of its own", () => {
  const urls = [
    "https://a.example/",
    "https://*.a.example/",
    "https://a.example:444/",
    "http://a.example:443/",
    "https://a.example:80/",
    "https://a.example/x",
    "https://a.example/X",
  ];
  assert.equal(new Set(urls.map(externalUrlKey)).size, urls.length);
});

test("external URL: two have one key exactly where they are one place for requests", () => {
  const urls = ["http", "https"].flatMap((scheme) =>
    ["", ":80", ":443", ":8443"].flatMap((port) =>
      ["a.example", "A.example.", "*.a.example", "[::1]"].flatMap((host) =>
        ["", "/", "/x", "//x/", "/%78", "/x:y", "/x%3Ay"].map((path) => `${scheme}://${host}${port}${path}`)
      )
    )
  );
  for (const [i, one] of urls.entries()) {
    for (const two of urls.slice(i)) {
      const { problems } = buildRoutes([
        appRecord({ id: "one", externalUrls: [one] }),
        appRecord({ id: "two", externalUrls: [two] }),
      ]);
      assert.equal(problems.length === 1, externalUrlKey(one) === externalUrlKey(two), `${one} ${two}`);
    }
  }
});

test("external URL: what is no plain http or https URL is refused", () => {
  for (
    const text of [
      "",
      "wiki",
      "ftp://a.example/",
      "https://u:p@a.example/",
      "https://a.example/?q",
      "https://a.example/#f",
      "https://a.example/x%2fy",
    ]
  ) {
    assert.throws(() => externalUrlKey(text), { code: "value_invalid" }, text);
  }
});
