import assert from "node:assert/strict";
import { constants } from "node:http2";
import { after, before, test } from "node:test";
import { foreignConnector } from "../support/foreign_connector.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { Users } from "../support/user_requests.ts";

let stage: TunnelStage;
let users: Users;

before(async () => {
  stage = await TunnelStage.start({ prepare: () => Promise.resolve(["--max-lanes-per-tunnel", "6000"]) });
  users = new Users();
  const { origin } = await stage.backend((_req, res) => res.end("served"));
  await stage.publish("/", origin);
});

after(async () => {
  users[Symbol.dispose]();
  await stage[Symbol.asyncDispose]();
});

test("5,000 lanes that a connector resets at once leave its tunnel up, and others undisturbed", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  for (const code of [constants.NGHTTP2_CANCEL, constants.NGHTTP2_NO_ERROR]) {
    const lanes = await Promise.all(Array.from({ length: 5_000 }, () => foreign.openLane()));
    const tunnel = await stage.until(
      "5,000 lanes are idle",
      ({ tunnels }) => tunnels[1]?.lanesIdle === 5_000,
    );
    assert.equal(tunnel.tunnels.length, 2);
    for (const lane of lanes) lane.close(code);
    await stage.until("no lane is left", ({ tunnels }) => tunnels[1]?.lanesIdle === 0);
  }
  // The tunnel still answers.
  const poll = await foreign.control.request("version.poll", {}, 30_000);
  assert.equal(typeof poll.latest, "string");
  // Requests find the lanes of the tunnel that has some.
  const { status, body } = await users.get(stage.url());
  assert.equal(`${status} ${body}`, "200 served");
});

test("a connector that opens more lanes than it may is refused those, and keeps its tunnel", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  const statuses = new Map<number, number>();
  await Promise.all(Array.from({ length: 6_010 }, async () => {
    const stream = foreign.dialled.session.request({ ":method": "POST", ":path": "/tunnel/v1/lane" }, {
      endStream: false,
    });
    stream.on("error", () => {});
    const status = await new Promise<number>((resolve) =>
      stream.once("response", (headers) => resolve(Number(headers[":status"])))
    );
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }));
  assert.deepEqual(Object.fromEntries(statuses), { 200: 6_000, 429: 10 });
  const poll = await foreign.control.request("version.poll", {}, 30_000);
  assert.equal(typeof poll.latest, "string");
});

test("a second control stream on a tunnel is refused", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  const stream = foreign.dialled.session.request({ ":method": "POST", ":path": "/tunnel/v1/control" }, {
    endStream: false,
  });
  stream.on("error", () => {});
  const status = await new Promise((resolve) =>
    stream.once("response", (headers) => resolve(headers[":status"]))
  );
  assert.equal(status, 409);
  await foreign.control.request("version.poll", {}, 30_000);
});

test("a lane that sends what is not a frame is destroyed, the tunnel stays", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  const lane = await foreign.openLane();
  const closed = new Promise((resolve) => lane.once("close", resolve));
  lane.write(Buffer.alloc(64, 0xff));
  await closed;
  await foreign.control.request("version.poll", {}, 30_000);
});

test("a control stream that sends what is not a frame ends the tunnel", async () => {
  using foreign = await foreignConnector(stage.stateDir);
  foreign.dialled.control.write(Buffer.alloc(64, 0xff));
  await foreign.closed;
  await stage.until("one tunnel is left", ({ tunnels }) => tunnels.length === 1);
});
