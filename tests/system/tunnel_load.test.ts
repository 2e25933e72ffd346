import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { Arrivals } from "../support/arrivals.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { rawGet, rawPost, Users } from "../support/user_requests.ts";

let stage: TunnelStage;
let users: Users;
let connectionsAtStart: number;

before(async () => {
  // However busy the machine is, a request that waits for its lane gets it; all users are at one address.
  const brokerArgs = ["--wait-for-connector-ms", "100000", "--max-user-connections-per-source", "0"];
  stage = await TunnelStage.start({ prepare: () => Promise.resolve(brokerArgs) });
  // Enrolment took connections of its own; the tunnel was dialled before this.
  connectionsAtStart = stage.relay.accepted;
  users = new Users();
});

after(async () => {
  users?.[Symbol.dispose]();
  await stage?.[Symbol.asyncDispose]();
});

test("1,000 requests are in flight at once over one connection", async () => {
  const arrived = new Arrivals();
  const held: ServerResponse[] = [];
  const { origin } = await stage.backend((_req, res) => {
    held.push(res);
    arrived.add();
  });
  await stage.publish("/thousand", origin);
  const answers = Array.from({ length: 1_000 }, (_, i) => users.get(stage.url(`/thousand/${i}`)));
  await arrived.reached(1_000);
  const { tunnels } = await stage.facts();
  assert.equal(tunnels.length, 1);
  assert.equal(tunnels[0]!.lanesBusy, 1_000);
  assert.equal(stage.relay.open, 1, "connections of the tunnel");
  for (const res of held) res.end(res.req.url);
  const bodies = (await Promise.all(answers)).map(({ status, body }) => `${status} ${body}`);
  assert.deepEqual(bodies, Array.from({ length: 1_000 }, (_, i) => `200 /${i}`));
  assert.equal(stage.relay.accepted, connectionsAtStart, "no other connection was made");
  await stage.idle();
});

test("while 50 exchanges are stalled, 1,000 short requests complete; lanes come back when they are cut", async () => {
  const begun = new Arrivals();
  const gone = new Arrivals();
  const chunk = Buffer.alloc(64 * 1024, "x");
  const download = (res: ServerResponse): void => {
    while (!res.destroyed && res.write(chunk));
    if (!res.destroyed) res.once("drain", () => download(res));
  };
  const held: IncomingMessage[] = [];
  const { origin } = await stage.backend((req: IncomingMessage, res: ServerResponse) => {
    if (req.url === "/short") return void res.end("short");
    begun.add();
    held.push(req);
    res.on("close", () => gone.add());
    if (req.url === "/download") download(res);
    // "/hung" is never answered, "/upload" is never read.
  });
  await stage.publish("/stalled", origin);

  const unread = Array.from({ length: 13 }, () => users.raw(stage.url(), rawGet("/stalled/download")));
  const slow = Array.from({ length: 12 }, () => users.raw(stage.url(), rawGet("/stalled/download")));
  const hung = Array.from({ length: 12 }, () => users.raw(stage.url(), rawGet("/stalled/hung")));
  const uploads = Array.from({ length: 13 }, () => users.raw(stage.url(), rawPost("/stalled/upload")));
  const piece = `10000\r\n${"u".repeat(0x10000)}\r\n`;
  const upload = (socket: Socket): void => {
    while (!socket.destroyed && socket.write(piece));
    if (!socket.destroyed) socket.once("drain", () => upload(socket));
  };
  for (const socket of uploads) upload(socket);
  await begun.reached(50);

  const { length } = await Promise.all(Array.from({ length: 1_000 }, async (_, i) => {
    const { status, body } = await users.get(stage.url("/stalled/short"));
    assert.equal(`${status} ${body}`, "200 short");
    slow[i % slow.length]!.read(1_024);
  }));
  assert.equal(length, 1_000);
  assert.equal(gone.count, 0, "none of the stalled has ended");
  assert.equal((await stage.facts()).tunnels[0]!.lanesBusy, 50);

  // The uploads are cut by the backend: their users' end comes behind bytes that nobody reads.
  for (const socket of [...unread, ...slow, ...hung]) socket.destroy();
  for (const req of held) if (req.method === "POST") req.socket.destroy();
  const { tunnels } = await stage.idle();
  await gone.reached(50);
  for (const socket of uploads) socket.destroy();
  assert.ok(tunnels[0]!.lanesIdle >= 50, `${tunnels[0]!.lanesIdle} lanes are idle`);
  assert.equal(stage.relay.accepted, connectionsAtStart, "no other connection was made");
});

test("5,000 exchanges that users abort in a burst leave the tunnel as it was", async () => {
  const begun = new Arrivals();
  const gone = new Arrivals();
  const { origin } = await stage.backend((req, res) => {
    if (req.url === "/short") return void res.end("short");
    begun.add();
    res.on("close", () => gone.add());
  });
  // Connections to one app's backend are limited: the users are of five apps.
  for (let app = 0; app < 5; app++) await stage.publish(`/burst${app}`, origin);
  const { tunnels: [before] } = await stage.facts();

  const sockets = Array.from(
    { length: 5_000 },
    (_, i) => users.raw(stage.url(), rawGet(`/burst${i % 5}/hung`)),
  );
  await begun.reached(5_000);
  for (const socket of sockets) socket.destroy();
  await gone.reached(5_000);

  const { tunnels: [after] } = await stage.idle();
  assert.equal(after!.instanceId, before!.instanceId);
  assert.equal(after!.connectedAt, before!.connectedAt);
  assert.equal(stage.relay.accepted, connectionsAtStart, "no other connection was made");
  const { body } = await users.get(stage.url("/burst0/short"));
  assert.equal(body, "short");
});
