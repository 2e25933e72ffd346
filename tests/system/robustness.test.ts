/** What peers and users that lie or leave at the wrong moment do to the others: nothing. */
import assert from "node:assert/strict";
import { constants } from "node:http2";
import { after, before, test } from "node:test";
import type { ResponseHead } from "../../src/protocol/heads.ts";
import { INITIAL_CREDIT } from "../../src/protocol/limits.ts";
import { registerConnector } from "../../src/demo/processes.ts";
import { foreignConnector } from "../support/foreign_connector.ts";
import { http2User, request2 } from "../support/http2_user.ts";
import { LyingConnector } from "../support/lying_connector.ts";
import { publicCertificate } from "../support/public_certificate.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Users } from "../support/user_requests.ts";
import { Wire } from "../support/wire.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const HOST = "lies.example.test";
/** How long requests wait for a connector: longer than anything here is waited for. */
const WAIT_MS = 300_000;

let stage: TunnelStage;
let users: Users;
let ca: string;
/** State folder of a connector that only lies, alone in its group. */
let liarState: string;

before(async () => {
  stage = await TunnelStage.start({
    prepare: async ({ folder }) => {
      const certificate = await publicCertificate("*.example.test");
      ca = certificate.ca;
      const files = { certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
      await writeFile(files.certFile, certificate.cert);
      await writeFile(files.keyFile, certificate.key, { mode: 0o600 });
      return [
        "--certificates",
        JSON.stringify([{ hosts: ["*.example.test"], ...files }]),
        "--wait-for-connector-ms",
        String(WAIT_MS),
      ];
    },
  });
  users = new Users();
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  await stage.publish("/", origin);
  const { admin } = stage.broker;
  const { id: groupId } = await admin.request("POST", "groups", { name: "Liars" }) as { id: string };
  await admin.publish({
    name: "Lies",
    externalUrl: `https://${HOST}/`,
    internalUrl: "http://127.0.0.1:1",
    settings: { groupId, externalUrls: [`https://${HOST}/`, `http://${HOST}/`] },
  });
  liarState = join(stage.folder, "liar");
  await registerConnector({
    stateDir: liarState,
    token: await admin.enrolmentToken({ groupId }),
    runtime: "node",
  });
});

after(async () => {
  users?.[Symbol.dispose]();
  await stage?.[Symbol.asyncDispose]();
});

/** The broker still runs, and serves. */
async function unharmed(): Promise<void> {
  assert.equal(stage.broker.child.exit, null, "the broker has ended");
  const { status, body } = await users.get(stage.url());
  assert.equal(`${status} ${body}`, "200 served");
}

test("tunnel streams with a method that no request may have leave the broker unharmed", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  for (const method of ["TRACE", "TRACK", "a", "CONNECT"]) {
    const connect = method === "CONNECT" ? { ":authority": "x:1" } : { ":path": "/tunnel/v1/lane" };
    const stream = foreign.dialled.session.request({ ":method": method, ...connect });
    stream.on("error", () => {});
    stream.resume();
    await new Promise((resolve) => stream.once("close", resolve));
  }
  await foreign.control.request("version.poll", {}, 30_000);
  await unharmed();
});

test("tunnel streams that are reset before they are answered leave the broker unharmed", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  for (const path of ["/tunnel/v1/lane", "/tunnel/v1/control", "/elsewhere"]) {
    for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL]) {
      for (let i = 0; i < 50; i++) {
        const stream = foreign.dialled.session.request({ ":method": "POST", ":path": path }, {
          endStream: false,
        });
        stream.on("error", () => {});
        stream.write("body that nobody reads");
        stream.close(code);
      }
      await foreign.control.request("version.poll", {}, 30_000);
    }
  }
  await unharmed();
});

const plain = () => Wire.plain(stage.broker.listeners.plain.port);
const http2 = () => http2User({ port: stage.broker.listeners.public.port, servername: HOST, ca });
const GET = `GET /lie HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
const UPGRADE = `GET /lie HTTP/1.1\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;

/** Heads that no connector of ours sends, since its backend's parser has refused them. */
const BAD_HEADS: Record<string, Partial<ResponseHead>> = {
  "a line end in a value": { headers: ["X-A", "1\r\nX-B: 2"] },
  "two line ends after a value": { headers: ["X-A", "1\r\n", "X-B", "2"] },
  "a character that latin1 cuts to a line end": { headers: ["X-A", "1\u010a\u010aX-B: 2"] },
  "a line end in a name": { headers: ["X-A: 1\r\nX-B", "2"] },
  "an empty name": { headers: ["", "2"] },
  "a pseudo header": { headers: [":status", "201"] },
  "a line end in the reason": { reason: "OK\r\nX-B: 2" },
  "a character beyond latin1 in the reason": { reason: "\u20ac" },
  "a length that is none": { headers: ["Content-Length", "5, 5"], hasBody: true },
  "two lengths": { headers: ["Content-Length", "5", "content-length", "6"], hasBody: true },
  "a length and no body": { headers: ["Content-Length", "5"] },
  "a change of protocol that nobody asked for": { status: 101, hasBody: true },
};

for (const [what, head] of Object.entries(BAD_HEADS)) {
  test(`a response head with ${what} is a 502, and the connection goes on`, async () => {
    using liar = await LyingConnector.start(liarState, 2);
    liar.says({ hasBody: false, ...head });
    const wire = await plain();
    wire.send(GET);
    const response = await wire.response();
    assert.equal(response.status, 502);
    assert.match(response.body, /backend_bad_response/);
    assert.doesNotMatch(response.headers.join(), /x-b/i);
    liar.says({ headers: ["Content-Length", "4"] }, "true");
    wire.send(GET);
    assert.equal((await wire.response()).body, "true");
    wire.close();

    // HTTP/2 has no reason, and cannot say 101 at all.
    if (head.reason === undefined) {
      liar.says({ hasBody: false, ...head });
      const session = await http2();
      const { status, end } = await request2(session, { ":path": "/lie", ":authority": HOST });
      assert.deepEqual([status, end], [502, "end"]);
      session.destroy();
    }
    if (head.status !== 101) {
      liar.says({ hasBody: false, ...head });
      const upgrading = await plain();
      upgrading.send(UPGRADE);
      const refused = await upgrading.response();
      assert.equal(refused.status, 502);
      assert.equal(await upgrading.over(), "ended");
      upgrading.close();
    }
    await unharmed();
  });
}

test("a body that is longer than its head said never becomes the next response", async () => {
  using liar = await LyingConnector.start(liarState, 2);
  liar.says(
    { headers: ["Content-Length", "4"] },
    "true",
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
  );
  const wire = await plain();
  wire.send(GET);
  assert.doesNotMatch(await wire.rest(), /forged/);
  assert.equal(wire.state, "reset");
  const session = await http2();
  const { body, end } = await request2(session, { ":path": "/lie", ":authority": HOST });
  assert.doesNotMatch(body, /forged/);
  assert.equal(end, constants.NGHTTP2_INTERNAL_ERROR);
  session.destroy();
  await unharmed();
});

test("a body that is shorter than its head said ends the connection", async () => {
  using liar = await LyingConnector.start(liarState, 2);
  liar.says({ headers: ["Content-Length", "400"] }, "short");
  const wire = await plain();
  wire.send(GET);
  assert.equal(await wire.over(), "reset");
  const session = await http2();
  const { end } = await request2(session, { ":path": "/lie", ":authority": HOST });
  assert.equal(end, constants.NGHTTP2_INTERNAL_ERROR);
  session.destroy();
  await unharmed();
});

test("a body where there can be none is not sent, and the connection goes on", async () => {
  using liar = await LyingConnector.start(liarState, 2);
  for (const [status, method] of [[204, "GET"], [304, "GET"], [200, "HEAD"]] as const) {
    liar.says({ status, headers: ["X-A", "1"] }, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    const wire = await plain();
    wire.send(GET.replace("GET", method));
    assert.equal((await wire.response(method === "HEAD")).status, status);
    liar.says({ headers: ["Content-Length", "4"] }, "true");
    wire.send(GET);
    assert.equal((await wire.response()).body, "true");
    wire.close();
    liar.says({ status, headers: ["X-A", "1"] }, "body");
    const session = await http2();
    const response = await request2(session, { ":method": method, ":path": "/lie", ":authority": HOST });
    assert.deepEqual([response.status, response.body, response.end], [status, "", "end"]);
    session.destroy();
  }
  await unharmed();
});

test("trailers and 1xx responses that cannot be said cost no more than the exchange", async () => {
  using liar = await LyingConnector.start(liarState, 2);
  const sessions = [];
  for (const trailers of [["X-A", "1\r\nX-B: 2"], ["X A", "1"], ["X-A", "\u010a"]]) {
    liar.answer = (lane) => {
      lane.sendInformational({ status: 103, headers: [...trailers] });
      lane.sendResponse({ status: 200, reason: "OK", headers: [], hasBody: true });
      lane.sendData(Buffer.from("whole"));
      lane.sendEnd(trailers);
    };
    const wire = await plain();
    wire.send(GET);
    assert.equal(await wire.over(), "reset");
    const session = await http2();
    sessions.push(session);
    const { status, end } = await request2(session, { ":path": "/lie", ":authority": HOST });
    assert.ok(status === 0 || status === 200);
    assert.notEqual(end, "end");
  }
  for (const session of sessions) session.destroy();
  liar.says({ headers: ["Content-Length", "4"] }, "true");
  const wire = await plain();
  wire.send(GET);
  assert.equal((await wire.response()).body, "true");
  wire.close();
  await unharmed();
});

test("a connector cannot invent codes: what it says of an abort is one of ours for user and metrics", async () => {
  using liar = await LyingConnector.start(liarState, 1);
  for (const code of ["constructor", "__proto__", "toString", "no_such_code", "x".repeat(64), "<b>"]) {
    liar.answer = (lane) => lane.abort({ code, begun: true });
    const wire = await plain();
    wire.send(GET);
    const { status, body } = await wire.response();
    assert.equal(status, 502, code);
    assert.match(body, /tunnel_lost/);
    wire.close();
  }
  const metrics = await (await fetch(`${stage.broker.adminUrl}/metrics`)).text();
  assert.doesNotMatch(metrics, /constructor|no_such_code|xxxx|<b>/);
});

test("a body in pieces of one byte crosses the tunnel whole and in order", async () => {
  using liar = await LyingConnector.start(liarState, 1);
  const ended = new Promise<void>((resolve) => liar.ended = resolve);
  const body = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(0x61 + i % 26)).join("");
  const wire = await plain();
  wire.send(`POST /lie HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n`);
  wire.send(`${body.replaceAll(/./g, "1\r\n$&\r\n")}0\r\n\r\n`);
  await ended;
  wire.close();
  assert.equal(liar.pieces.join(""), body);
});

test("HTTP/2: a user who resets a stream without an error, its body unread, while it waits for a connector", async () => {
  const session = await http2();
  const written: Promise<unknown>[] = [];
  const streams = Array.from({ length: 20 }, () => {
    const stream = session.request({ ":method": "POST", ":path": "/lie", ":authority": HOST }, {
      endStream: false,
    });
    stream.on("error", () => {});
    written.push(new Promise((resolve) => stream.write(Buffer.alloc(40_000), resolve)));
    return stream;
  });
  await Promise.all(written);
  await until("20 requests wait", async () => await waiting() === 20);
  // What was sent before has arrived when the answer to this comes.
  await new Promise((resolve) => session.ping(resolve));
  for (const stream of streams) stream.close(constants.NGHTTP2_NO_ERROR);
  await until("none waits", async () => await waiting() === 0);
  session.destroy();
  await unharmed();
});

async function waiting(): Promise<number> {
  const text = await (await fetch(`${stage.broker.adminUrl}/metrics`)).text();
  return Number(/^sallyport_waiting_requests (\d+)$/m.exec(text)?.[1]);
}

test("HTTP/1.1: a user who ends in an upload that is out of credit is noticed when all of it was read", async () => {
  using liar = await LyingConnector.start(liarState, 4);
  liar.takes = false;
  const port = { plain: stage.broker.listeners.plain.port, tls: stage.broker.listeners.public.port };
  for (
    const connect of [
      () => Wire.plain(port.plain),
      () => Wire.tls({ port: port.tls, servername: HOST, ca }),
    ]
  ) {
    const wire = await connect();
    const { promise: outOfCredit, resolve: isOutOfCredit } = Promise.withResolvers<void>();
    const { promise: aborted, resolve: abort } = Promise.withResolvers<string>();
    let came = 0;
    // A rest of less than 16 KiB is not used before there is more.
    liar.arrived = ({ length }) => (came += length) > INITIAL_CREDIT - 16 * 1024 && isOutOfCredit();
    liar.aborted = abort;
    wire.send(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 10000000\r\n\r\n`);
    wire.send(Buffer.alloc(INITIAL_CREDIT + 40_000, "u"));
    await outOfCredit;
    wire.socket.end();
    assert.equal(await aborted, "cancelled");
    assert.ok(came <= INITIAL_CREDIT);
    wire.close();
  }
  await unharmed();
});
