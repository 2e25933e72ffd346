import assert from "node:assert/strict";
import { test } from "node:test";
import { listenFailure, parseListenAddress } from "../../../src/platform/listen_address.ts";

for (
  const [text, expected] of Object.entries({
    "127.0.0.1:0": { host: "127.0.0.1", port: 0 },
    "[::]:443": { host: "::", port: 443 },
    "[fe80::1%eth0]:65535": { host: "fe80::1%eth0", port: 65_535 },
    "broker.example.com:9180": { host: "broker.example.com", port: 9180 },
    "": null,
    "443": null,
    ":443": null,
    "::1:443": null,
    "a:65536": null,
    "a:-1": null,
    "a b:1": null,
    "http://a:1": null,
    "user@a:1": null,
    "[a]b:1": null,
  })
) {
  test(`listen address: "${text}"`, () => assert.deepEqual(parseListenAddress(text), expected));
}

test("listen failure: in words where they are known, else as the operating system says it", () => {
  const failure = (code: string) => Object.assign(new Error(`listen ${code}: x`), { code });
  assert.match(listenFailure(failure("EADDRINUSE")), /another program.*EADDRINUSE/);
  assert.match(listenFailure(failure("EACCES")), /1024/);
  assert.equal(listenFailure(failure("EIO")), "listen EIO: x");
  assert.equal(listenFailure("odd"), "odd");
});
