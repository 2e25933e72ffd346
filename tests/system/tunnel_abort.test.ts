import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { fillResponse } from "../support/stalled.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { rawGet, rawPost, Users } from "../support/user_requests.ts";

let stage: TunnelStage;
let users: Users;
/** Takes the next request that reaches the backend. */
let serve: (req: IncomingMessage, res: ServerResponse) => void;

before(async () => {
  stage = await TunnelStage.start();
  users = new Users();
  const { origin } = await stage.backend((req, res) => serve(req, res));
  await stage.publish("/", origin);
});

after(async () => {
  users[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

/** The next request at the backend. */
function reached(): Promise<{ req: IncomingMessage; res: ServerResponse }> {
  return new Promise((resolve) => serve = (req, res) => resolve({ req, res }));
}

test("HTTP/1.1: a user who stalls a download and goes away ends the backend's response", async () => {
  const arrived = reached();
  const socket = users.raw(stage.url(), rawGet("/download"));
  const { res } = await arrived;
  await fillResponse(res, () => stage.facts());
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
