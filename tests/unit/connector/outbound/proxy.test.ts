import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "node:util";
import { loadConfiguration } from "../../../../src/platform/configuration.ts";
import { Secret } from "../../../../src/platform/secret.ts";
import { parseProxyUrl } from "../../../../src/platform/proxy_url.ts";
import { CONNECTOR_CONFIGURATION } from "../../../../src/connector/config.ts";
import { isExempt } from "../../../../src/connector/outbound/no_proxy.ts";
import { parseAnswer } from "../../../../src/connector/outbound/proxy_answer.ts";
import { describeProxy, proxyFor, type ProxySettings } from "../../../../src/connector/outbound/proxy.ts";

const BROKER = { host: "broker.example", port: 443 };

function settings(changes: Partial<ProxySettings> = {}): ProxySettings {
  const credentials = new Secret("");
  return { url: "", setting: '"proxy"', credentialsFile: "", credentials, caFile: "", ...changes };
}

test("parseProxyUrl: reads what people write, and nothing else", () => {
  const read = (text: string) => {
    const proxy = parseProxyUrl(text);
    return proxy === null ? null : [describeProxy(proxy), proxy.credentials?.reveal() ?? ""];
  };
  assert.deepEqual(read("http://proxy:3128"), ["http://proxy:3128", ""]);
  assert.deepEqual(read("proxy.corp:3128"), ["http://proxy.corp:3128", ""]);
  assert.deepEqual(read("https://proxy"), ["https://proxy:443", ""]);
  assert.deepEqual(read("http://proxy/"), ["http://proxy:80", ""]);
  assert.deepEqual(read("http://[::1]:8080"), ["http://[::1]:8080", ""]);
  assert.deepEqual(read("http://ann:p%40ss%3A@proxy:1"), ["http://proxy:1", "ann:p@ss:"]);
  for (
    const wrong of [
      "",
      "socks5://proxy:1080",
      "http://",
      "http://p/path",
      "http://p?q",
      "http://p:0",
      "p:99999",
    ]
  ) {
    assert.equal(read(wrong), null, wrong);
  }
});

test("NO_PROXY: names with those below them, addresses, networks, ports, all", () => {
  const at = (host: string, port = 443) => ({ host, port });
  assert.ok(isExempt("a.example, broker.example", BROKER));
  assert.ok(isExempt("example", BROKER));
  assert.ok(isExempt(".example", BROKER));
  assert.ok(isExempt("*.EXAMPLE", BROKER));
  assert.ok(isExempt("*", BROKER));
  assert.ok(isExempt("broker.example:443", BROKER));
  assert.ok(isExempt("10.0.0.0/8", at("10.1.2.3")));
  assert.ok(isExempt("fd00::/8", at("fd00::1")));
  assert.ok(isExempt("[::1]:443 ::2", at("::1")));
  assert.ok(isExempt("::2", at("::2")));
  for (
    const other of [
      "",
      "xample",
      "broker.example:8443",
      "10.0.0.0/8",
      "roker.example",
      "a.broker.example",
      "10.0.0.0/99",
    ]
  ) {
    assert.equal(isExempt(other, BROKER), false, other);
  }
  assert.equal(isExempt("11.0.0.0/8", at("10.1.2.3")), false);
  assert.equal(isExempt("0.3", at("10.1.0.3")), false, "an address is no name with names below it");
});

test("proxyFor: the setting wins over the environment, a bypass over both, lower case over upper", () => {
  const env = { HTTPS_PROXY: "http://upper:1", https_proxy: "http://lower:1", NO_PROXY: "other.example" };
  const found = (url: string, of: Record<string, string>) => {
    const proxy = proxyFor(settings({ url }), of)(BROKER);
    return proxy === null ? null : describeProxy(proxy);
  };
  assert.equal(found("", {}), null);
  assert.equal(found("", env), "http://lower:1");
  assert.equal(found("", { HTTPS_PROXY: "upper:1" }), "http://upper:1");
  assert.equal(found("", { ...env, no_proxy: "broker.example" }), null);
  assert.equal(found("", { HTTPS_PROXY: "upper:1", NO_PROXY: "example" }), null);
  assert.equal(found("", { ...env, https_proxy: "" }), null);
  assert.equal(found("http://mine:1", { ...env, no_proxy: "*" }), "http://mine:1");
  assert.equal(found("none", env), null);
  assert.equal(found("direct", env), null);
  assert.throws(
    () => found("", { HTTPS_PROXY: "socks5://u:secret@p:1" }),
    (error: { code: string; message: string }) => {
      assert.equal(error.code, "proxy_misconfigured");
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
});

test("proxyFor: credentials from a file, the environment or the variable's URL, read anew, never printed", () => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-proxy-"));
  try {
    const credentialsFile = join(folder, "credentials");
    const env = { HTTPS_PROXY: "http://url:one@proxy:1" };
    const ofFile = proxyFor(settings({ credentialsFile, credentials: new Secret("variable:two") }), env);
    assert.throws(() => ofFile(BROKER), { code: "proxy_credentials_unreadable" });
    writeFileSync(credentialsFile, "no colon\n");
    assert.throws(() => ofFile(BROKER), { code: "proxy_credentials_unreadable" });
    writeFileSync(credentialsFile, "file:three\n");
    assert.equal(ofFile(BROKER)?.credentials?.reveal(), "file:three");
    writeFileSync(credentialsFile, "file:four\n");
    const proxy = ofFile(BROKER);
    assert.equal(proxy?.credentials?.reveal(), "file:four");
    assert.doesNotMatch(inspect(proxy, { depth: 9 }) + JSON.stringify(proxy), /four/);
    const ofVariable = proxyFor(settings({ credentials: new Secret("variable:two") }), env);
    assert.equal(ofVariable(BROKER)?.credentials?.reveal(), "variable:two");
    assert.equal(proxyFor(settings(), env)(BROKER)?.credentials?.reveal(), "url:one");
    assert.throws(() => proxyFor(settings({ url: "p:1", caFile: join(folder, "none") }), {})(BROKER), {
      code: "proxy_ca_unreadable",
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("configuration: a proxy with a password in it is refused, and not shown", () => {
  const load = (proxy: string) => loadConfiguration(CONNECTOR_CONFIGURATION, { flags: { proxy }, env: {} });
  assert.equal(load("http://proxy:3128").proxy, "http://proxy:3128");
  assert.throws(() => load("http://ann:hidden@proxy:3128"), (error: { code: string; message: string }) => {
    assert.equal(error.code, "configuration_value_invalid");
    assert.doesNotMatch(error.message, /hidden/);
    return true;
  });
});

test("parseAnswer: status and ways to say who one is; what is not HTTP is refused", () => {
  assert.deepEqual(parseAnswer("HTTP/1.1 200 Connection established"), { status: 200, schemes: "none" });
  assert.deepEqual(
    parseAnswer('HTTP/1.0 407 x\r\nProxy-Authenticate: Basic realm="a"\r\nproxy-authenticate:Negotiate'),
    { status: 407, schemes: "Basic, Negotiate" },
  );
  for (const wrong of ["", "SSH-2.0-OpenSSH", "HTTP/2 200", "HTTP/1.1 20 x", "HTTP/1.1 200OK"]) {
    assert.throws(() => parseAnswer(wrong), RangeError, wrong);
  }
});
