/** What peers and users that lie or leave at the wrong moment do to the others: nothing. */
import assert from "node:assert/strict";
import type { ClientHttp2Stream } from "node:http2";
import { constants } from "node:http2";
import { after, before, test } from "node:test";
import { encodeAbort, encodeEnd, encodeResponse, type ResponseHead } from "../../src/protocol/heads.ts";
import { FRAME, frameHeader } from "../../src/protocol/frame.ts";
import { foreignConnector } from "../support/foreign_connector.ts";
import { type Http2Response, http2User, request2 } from "../support/http2_user.ts";
import { publicCertificate } from "../support/public_certificate.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { Users } from "../support/user_requests.ts";
import { Wire, type WireResponse } from "../support/wire.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const HOST = "lies.example.test";

let stage: TunnelStage;
let users: Users;
let ca: string;

before(async () => {
  stage = await TunnelStage.start({
    prepare: async ({ folder }) => {
      const certificate = await publicCertificate("*.example.test");
      ca = certificate.ca;
      const files = { certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
      await writeFile(files.certFile, certificate.cert);
      await writeFile(files.keyFile, certificate.key, { mode: 0o600 });
      return ["--certificates", JSON.stringify([{ hosts: ["*.example.test"], ...files }])];
    },
  });
  users = new Users();
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  await stage.publish("/", origin);
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
  await foreign.control.request("version.poll", {}, 10_000);
  await unharmed();
});

test("tunnel streams that are reset before they are answered leave the broker unharmed", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  for (const path of ["/tunnel/v1/lane", "/tunnel/v1/control", "/elsewhere"]) {
    for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL]) {
      const streams = Array.from({ length: 50 }, () => {
        const stream = foreign.dialled.session.request({ ":method": "POST", ":path": path }, {
          endStream: false,
        });
        stream.on("error", () => {});
        stream.write("body that nobody reads");
        stream.close(code);
        return stream;
      });
      await foreign.control.request("version.poll", {}, 10_000);
    }
  }
  await unharmed();
});
