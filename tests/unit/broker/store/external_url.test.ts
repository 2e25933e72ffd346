import assert from "node:assert/strict";
import { test } from "node:test";
import { externalUrlKey } from "../../../../src/broker/store/external_url.ts";

test("external URL: spellings of one place have one key", () => {
  const groups = [
    [
      "https://wiki.example.com",
      "https://WIKI.Example.com/",
      "https://wiki.example.com:443/",
      "https://wiki.example.com./",
    ],
    [
      "http://wiki.example.com:8080/docs",
      "http://wiki.example.com:8080/docs/",
      "http://wiki.example.com:8080/x/../docs",
    ],
    ["https://bücher.example/", "https://xn--bcher-kva.example/"],
    ["https://a.example/%7euser%2f", "https://a.example/~user%2F"],
    ["https://[2001:DB8::1]/", "https://[2001:db8:0::1]:443"],
    ["https://*.example.com/", "https://*.EXAMPLE.com"],
  ];
  const keys = groups.map((group) => new Set(group.map(externalUrlKey)));
  for (const [index, key] of keys.entries()) assert.equal(key.size, 1, groups[index]!.join(" "));
  assert.equal(new Set(keys.flatMap((key) => [...key])).size, groups.length);
});

test("external URL: scheme, port, path and its case tell places apart", () => {
  const urls = [
    "https://a.example/",
    "http://a.example/",
    "https://a.example:444/",
    "https://a.example/x",
    "https://a.example/X",
  ];
  assert.equal(new Set(urls.map(externalUrlKey)).size, urls.length);
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
    ]
  ) {
    assert.throws(() => externalUrlKey(text), { code: "value_invalid" }, text);
  }
});
