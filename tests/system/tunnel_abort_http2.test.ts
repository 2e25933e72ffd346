import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from "node:http2";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { http2User } from "../support/http2_user.ts";
import { publicCertificate, type TestCertificate } from "../support/public_certificate.ts";
import { fillResponse, stalled } from "../support/stalled.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";

const HOST = "app.example.test";
const MIB = 1024 * 1024;

let stage: TunnelStage;
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
  const { origin } = await stage.backend((req, res) => serve(req, res));
  await stage.broker.admin.publish({
    name: "App of HTTP/2 users",
    externalUrl: `https://${HOST}/`,
    internalUrl: origin,
  });
});

after(async () => {
  await stage[Symbol.asyncDispose]();
});

/** The next request at the backend. */
function reached(): Promise<{ req: IncomingMessage; res: ServerResponse }> {
  return new Promise((resolve) => serve = (req, res) => resolve({ req, res }));
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

test("HTTP/2: a user who stalls a download and cancels it ends the backend's response", async () => {
  const session = await http2Session();
  const arrived = reached();
  const stream = request2(session, "GET");
  const { res } = await arrived;
  await fillResponse(res, () => stage.facts());
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
  await stalled(() => taken, () => stage.facts());
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
