/** Which app a request reaches, over which protocol and address, through broker and connector. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Agent, get } from "node:https";
import type { IncomingMessage } from "node:http";
import { once } from "node:events";
import { connect as connectTls } from "node:tls";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk } from "../support/raw_backend.ts";
import { readHead, type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { valueOf, Wire } from "../support/wire.ts";

let stage: IngressStage;
let backend: StagedBackend;

before(async () => {
  // Says which target the backend was asked for, and at which internal path that is told from.
  backend = await stagedBackend(({ socket, head }) =>
    void socket.write(answerOk(readHead(head).line.split(" ")[1]))
  );
  stage = await ingressStage({
    publicListen: "[::]:0",
    plainListen: "[::1]:0",
    broker: ["--tunnel-listen", "127.0.0.1:0", "--trusted-proxies", "::1/128"],
  });
  const at = (path: string) => `${backend.origin}${path}`;
  await stage.publish("exact", "https://one.example.test", at("/exact"));
  await stage.publish("wildcard", "https://*.example.test", at("/wildcard"));
  await stage.publish("app", "https://one.example.test/app", at("/inner/app/"));
  await stage.publish("deep", "https://one.example.test/app/deep", at("/deep"));
  await stage.publish("kept", ["http://kept.example.test", "http://alias.example.test"], at("/"), {
    hostHeader: "user",
  });
  await stage.publish("address", ["http://[::1]", "https://127.0.0.1"], at("/address"));
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

const ROUTES: [authority: string, path: string, backend: string][] = [
  ["one.example.test", "/", "/exact/"],
  ["one.example.test", "/apple?x=1", "/exact/apple?x=1"],
  ["one.example.test", "/app", "/inner/app/"],
  ["one.example.test", "/app?x", "/inner/app/?x"],
  ["one.example.test", "/app/", "/inner/app/"],
  ["one.example.test", "/app/x/../y%20z", "/inner/app/x/../y%20z"],
  ["one.example.test", "/%61pp/x", "/inner/app/x"],
  ["one.example.test", "/app/deeper", "/inner/app/deeper"],
  ["one.example.test", "/app/deep/x", "/deep/x"],
  ["ONE.Example.test.", "/app/deep", "/deep"],
  ["two.example.test", "/app", "/wildcard/app"],
];

test("HTTP/1.1 and HTTP/2 on the one TLS port, IPv4 and IPv6: exact host before wildcard, longest prefix, prefix replaced", async () => {
  for (const host of ["127.0.0.1", "::1"]) {
    const tls = { host, port: stage.tlsPort, servername: "one.example.test", ca: stage.ca };
    const wire = await Wire.tls(tls);
    const user = await http2User(tls);
    for (const [authority, path, target] of ROUTES) {
      wire.send(`GET ${path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
      assert.equal((await wire.response()).body, target);
      const over2 = await request2(user, { ":authority": authority, ":path": path });
      assert.equal(over2.body, target);
    }
    wire.close();
    user.destroy();
  }
});

test("plain HTTP over IPv6, by address; a listed proxy's forwarding headers are believed", async () => {
  const wire = await Wire.plain(stage.plainPort, "::1");
  const forwarded =
    "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shown.example.test\r\n";
  wire.send(`GET /x HTTP/1.1\r\nHost: [::1]:${stage.plainPort}\r\n${forwarded}\r\n`);
  assert.equal((await wire.response()).body, "/address/x");
  const { headers } = readHead(backend.last.head);
  assert.equal(valueOf(headers, "x-forwarded-for"), "203.0.113.9, ::1");
  assert.equal(valueOf(headers, "x-forwarded-proto"), "https");
  assert.equal(valueOf(headers, "x-forwarded-host"), "shown.example.test");
  wire.close();
});

test("X-Forwarded-Host of a listed proxy chooses no host at the backend that is not the app's", async () => {
  const wire = await Wire.plain(stage.plainPort, "::1");
  for (
    const [said, host] of [
      ["other.internal", "kept.example.test"],
      ["two.example.test", "kept.example.test"],
      ["alias.example.test", "alias.example.test"],
    ]
  ) {
    wire.send(`GET /x HTTP/1.1\r\nHost: kept.example.test\r\nX-Forwarded-Host: ${said}\r\n\r\n`);
    assert.equal((await wire.response()).status, 200);
    assert.equal(valueOf(readHead(backend.last.head).headers, "host"), host);
  }
  wire.close();
});

test("the certificate is verified by an ordinary client", async () => {
  const agent = new Agent({ ca: stage.ca });
  const lookup = (_name: string, options: { all?: boolean }, done: (e: null, ...a: unknown[]) => void) =>
    options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
  const asked = get({
    host: "one.example.test",
    port: stage.tlsPort,
    path: "/",
    agent,
    lookup: lookup as never,
  });
  const [response] = await once(asked, "response") as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  response.resume();
  agent.destroy();
});

test("Host decides, not SNI; names of the broker's own are 421 where they do not belong", async () => {
  const tls = (servername: string) => ({ port: stage.tlsPort, servername, ca: stage.ca });
  const user = await http2User(tls("one.example.test"));
  const wire = await Wire.tls(tls("one.example.test"));
  assert.equal((await request2(user, { ":authority": "two.example.test", ":path": "/" })).body, "/wildcard/");
  for (const name of ["tunnel.sallyport.internal", "enrol.sallyport.internal"]) {
    const over2 = await request2(user, { ":authority": name, ":path": "/enrol/v1/x" });
    assert.deepEqual([over2.status, JSON.parse(over2.body).code], [421, "misdirected"]);
    const plain = await Wire.plain(stage.plainPort, "::1");
    plain.send(`GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
    assert.equal((await plain.response()).status, 421);
    plain.close();
  }
  wire.send("GET / HTTP/1.1\r\nHost: tunnel.sallyport.internal\r\n\r\n");
  assert.equal((await wire.response()).status, 421);
  wire.close();
  user.destroy();
});

test("a tunnel name on the users' port is nobody's where tunnels have a port of their own", async () => {
  const socket = connectTls({
    host: "127.0.0.1",
    port: stage.tlsPort,
    servername: "tunnel.sallyport.internal",
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  let shaken = false;
  socket.on("secureConnect", () => shaken = true).on("error", () => {});
  await new Promise((resolve) => socket.on("close", resolve));
  assert.equal(shaken, false);
});

test("PROXY protocol v1 and v2 from a listed proxy say who the user is", async () => {
  await using behind = await ingressStage({
    broker: [
      "--trusted-proxies",
      "127.0.0.1/32",
      "--proxy-protocol-ingress",
      "--tunnel-listen",
      "127.0.0.1:0",
    ],
  });
  await behind.publish("behind", "https://one.example.test", backend.origin);
  const v1 = "PROXY TCP4 203.0.113.7 192.0.2.1 1234 443\r\n";
  const v2 = Buffer.concat([
    Buffer.from("0d0a0d0a000d0a515549540a", "hex"),
    Buffer.from("2111000c", "hex"),
    Buffer.from([203, 0, 113, 8, 192, 0, 2, 1, 4, 210, 1, 187]),
  ]);
  for (const [header, address] of [[v1, "203.0.113.7"], [v2, "203.0.113.8"]] as const) {
    const wire = await Wire.plain(behind.plainPort);
    wire.send(header);
    wire.send("GET / HTTP/1.1\r\nHost: one.example.test\r\nConnection: close\r\n\r\n");
    assert.equal((await wire.response()).status, 200);
    wire.close();
    assert.equal(valueOf(readHead(backend.last.head).headers, "x-forwarded-for"), address);
  }
  const bare = await Wire.plain(behind.plainPort);
  bare.send("GET / HTTP/1.1\r\nHost: one.example.test\r\n\r\n");
  assert.equal(await bare.rest(), "", "no header, no service");
  bare.close();
});
