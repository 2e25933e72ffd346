import assert from "node:assert/strict";
import { test } from "node:test";
import { isSealed, openKey, sealKey } from "../../../../src/broker/ca/sealed_key.ts";
import { Secret } from "../../../../src/platform/secret.ts";
import { generatePrivateKey } from "../../../../src/platform/x509.ts";

const KEY = new Secret("a key of sufficient length");

const TOO_SHORT = `-----BEGIN SALLYPORT SEALED KEY-----
AQ8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobi8wp
-----END SALLYPORT SEALED KEY-----
`;

test("sealed key: what was sealed comes back, the rest of the text is left as it is, and no two look the same", async () => {
  const text = `before\n${await generatePrivateKey("p256")}after\n`;
  const sealed = sealKey(text, KEY);
  assert.ok(isSealed(sealed) && !sealed.includes("PRIVATE KEY"));
  assert.ok(sealed.startsWith("before\n") && sealed.endsWith("after\n"));
  assert.equal(openKey(sealed, KEY, "file"), text);
  assert.notEqual(sealKey(text, KEY), sealed);
  assert.equal(sealKey(sealed, KEY), sealed);
  assert.equal(openKey(text, null, "file"), text, "a plain key needs none");
});

test("sealed key: no key, another key, and each changed byte are errors", async () => {
  const sealed = sealKey(await generatePrivateKey("p256"), KEY);
  assert.throws(() => openKey(sealed, null, "file"), { code: "ca_key_missing" });
  assert.throws(() => openKey(sealed, new Secret("another key of the same sort"), "file"), {
    code: "ca_key_wrong",
  });
  const [begin, ...lines] = sealed.trimEnd().split("\n");
  const bytes = Buffer.from(lines.slice(0, -1).join(""), "base64");
  for (const at of [0, 1, 2, 17, 18, 29, 30, bytes.length - 1]) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    const text = [begin, changed.toString("base64"), lines.at(-1)].join("\n");
    assert.throws(() => openKey(text, KEY, "file"), { code: "ca_key_wrong" }, `byte ${at}`);
  }
  assert.throws(() => openKey(TOO_SHORT, KEY, "file"), { code: "ca_key_wrong" }, "too short");
});
