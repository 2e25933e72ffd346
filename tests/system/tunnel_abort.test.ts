import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { http2User } from "../support/http2_user.ts";
import { publicCertificate, type TestCertificate } from "../support/public_certificate.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { rawGet, rawPost, Users } from "../support/user_requests.ts";

const HOST = "app.example.test";
const MIB = 1024 * 1024;

let stage: TunnelStage;
let users: Users;
let certificate: TestCertificate;
/** Takes the next request that reaches the backend. */
let serve: (req: IncomingMessage, res: ServerResponse) => void;

before(async () => {
  certificate = await publicCertificate(HOST);
  stage = await TunnelStage.start({
    prepare: async ({ folder }) => {
      const certFile = join(folder, "public.pem");
      const keyFile = join(folder, "public.key");
      await writeFile(certFile, certificate.cert);
      await writeFile(keyFile, certificate.key);
      return ["--certificates", JSON.stringify([{ hosts: [HOST], certFile, keyFile }])];
    },
  });
  users = new Users();
  const { origin } = await stage.backend((req, res) => serve(req, res));
  await stage.publish("/", origin);
  await stage.broker.admin.publish({
    name: "App of HTTP/2 users",
    externalUrl: `https://${HOST}/`,
    internalUrl: origin,
  });
});

after(async () => {
  users[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

/** The next request at the backend. */
function reached(): Promise<{ req: IncomingMessage; res: ServerResponse }> {
  return new Promise((resolve) => serve = (req, res) => resolve({ req, res }));
}

/** Writes a response body for as long as somebody takes it; resolves when nobody does any more. */
async function fill(res: ServerResponse): Promise<void> {
  const chunk = Buffer.alloc(64 * 1024, "x");
  let written = 0;
  const timer = new Stall(() => written);
  const more = (): void => {
    while (!res.destroyed && res.write(chunk)) written += chunk.length;
    if (!res.destroyed) res.once("drain", more);
  };
  more();
  await timer.stalled();
}

/** Tells when a number has stopped moving, by round trips through the broker's API and not by time. */
class Stall {
  readonly #value: () => number;
  constructor(value: () => number) {
    this.#value = value;
  }
  async stalled(): Promise<void> {
    for (let same = 0, last = -1; same < 10;) {
      await stage.facts();
      same = this.#value() === last ? same + 1 : 0;
      last = this.#value();
    }
  }
}

async function http2Session(): Promise<ClientHttp2Session> {
  return await http2User({
    port: stage.broker.listeners.public.port,
    servername: HOST,
    ca: certificate.ca,
  });
}

function request2(session: ClientHttp2Session, method: string): ClientHttp2Stream {
  const stream = session.request({ ":method": method, ":path": "/x", ":authority": HOST }, {
    endStream: method === "GET",
  });
  stream.on("error", () => {});
  return stream;
}

test("HTTP/1.1: a user who stalls a download and goes away ends the backend's response", async () => {
  const arrived = reached();
  const socket = users.raw(stage.url(), rawGet("/download"));
  const { res } = await arrived;
  await fill(res);
  const closed = once(res, "close");
  socket.destroy();
  await closed;
  assert.equal(res.writableFinished, false);
  await stage.idle();
});

test("HTTP/1.1: a user who goes away within an upload that the backend does not read ends the request", async () => {
  const arrived = reached();
  const socket = users.raw(stage.url(), rawPost("/upload"));
  // Less than the first credit: more of it would keep the end of the connection behind bytes that nobody reads.
  socket.write(`${(100_000).toString(16)}\r\n${"u".repeat(100_000)}\r\n`);
  const { req, res } = await arrived;
  const closed = once(res, "close");
  socket.destroy();
  await stage.idle();
  req.resume();
  await closed;
  assert.equal(req.complete, false);
});

test("HTTP/2: a user who stalls a download and cancels it ends the backend's response", async () => {
  const session = await http2Session();
  const arrived = reached();
  const stream = request2(session, "GET");
  const { res } = await arrived;
  await fill(res);
  const closed = once(res, "close");
  stream.close(constants.NGHTTP2_CANCEL);
  await closed;
  assert.equal(res.writableFinished, false);
  session.destroy();
  await stage.idle();
});

test("HTTP/2: a user who cancels a stalled upload ends the backend's request", async () => {
  const session = await http2Session();
  const arrived = reached();
  const stream = request2(session, "POST");
  let taken = 0;
  const piece = Buffer.alloc(64 * 1024, "u");
  const more = (): void => {
    if (!stream.destroyed) stream.write(piece, more);
    taken += piece.length;
  };
  more();
  const { req, res } = await arrived;
  await new Stall(() => taken).stalled();
  assert.ok(taken < 64 * MIB, "the upload is held back");
  const closed = once(res, "close");
  stream.close(constants.NGHTTP2_CANCEL);
  await stage.idle();
  req.resume();
  await closed;
  assert.equal(req.complete, false);
  session.destroy();
});

test("HTTP/2: a backend that breaks off a download that nobody reads ends the user's stream", async () => {
  const session = await http2Session();
  const arrived = reached();
  const stream = request2(session, "GET");
  const { res } = await arrived;
  const aborted = new Promise((resolve) => stream.once("close", resolve));
  // More than the user's window, less than the first credit.
  await new Promise((resolve) => res.write(Buffer.alloc(100_000), resolve));
  res.destroy();
  await aborted;
  assert.equal(stream.rstCode, constants.NGHTTP2_INTERNAL_ERROR);
  session.destroy();
  await stage.idle();
});

test("HTTP/1.1: a user who resets the connection of a stalled upload ends the backend's request", async () => {
  const arrived = reached();
  const socket = users.raw(stage.url(), rawPost("/upload"));
  let taken = 0;
  const piece = `10000\r\n${"u".repeat(0x10000)}\r\n`;
  const more = (): void => {
    if (!socket.destroyed) socket.write(piece, more);
    taken += piece.length;
  };
  more();
  const { req, res } = await arrived;
  await new Stall(() => taken).stalled();
  const closed = once(res, "close");
  socket.resetAndDestroy();
  await stage.idle();
  req.resume();
  await closed;
  assert.equal(req.complete, false);
});
