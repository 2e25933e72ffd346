/** What is sent a second time and what never is, with connectors that fail in chosen ways beside one that serves. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { registerConnector } from "../../src/demo/processes.ts";
import type { RequestHead } from "../../src/protocol/heads.ts";
import type { Lane } from "../../src/tunnel/lane.ts";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { LyingConnector } from "../support/lying_connector.ts";
import { TunnelStage } from "../support/tunnel_stage.ts";
import { until } from "../support/until.ts";
import { Wire } from "../support/wire.ts";

let stage: TunnelStage;
/** State folders of connectors that lie. */
const folders: string[] = [];
/** Requests that the backend has seen, with their bodies. */
const seen: string[] = [];

before(async () => {
  stage = await TunnelStage.start();
  const { origin } = await stage.backend((req, res) => {
    let body = "";
    req.setEncoding("latin1").on("data", (text) => body += text);
    req.on("end", () => {
      seen.push(`${req.method} ${body}`);
      res.end("served");
    });
  });
  await stage.publish("/", origin, { balancing: "round_robin" });
  for (const name of ["one", "two"]) {
    const stateDir = join(stage.folder, name);
    const token = await stage.broker.admin.enrolmentToken();
    await registerConnector({ stateDir, token, runtime: connectorRuntime() });
    folders.push(stateDir);
  }
});

after(() => stage?.[Symbol.asyncDispose]());

/** Resolves when nobody but the real connector is there. */
async function alone(): Promise<void> {
  await until("one connector is connected", async () => {
    const connectors = await stage.broker.admin.connectors() as unknown as { connected: boolean }[];
    return connectors.filter(({ connected }) => connected).length === 1;
  });
}

/** Requests that all fail, users who send them, and retries that a new app has at once. */
const REQUESTS = 1_000;
const USERS = 64;
const FIRST = 20;

type Failure = (liar: LyingConnector, lane: Lane, head: RequestHead) => void;

/** Sends the request until the lying connector has got it, which then fails it; the response, or how the connection ended. */
async function failed(method: string, body: string, fails: Failure): Promise<string> {
  await alone();
  using liar = await LyingConnector.start(folders[0]!, 4);
  let isHit = false;
  liar.answer = (lane, head) => {
    isHit = true;
    if (head.follows === "nothing") return fails(liar, lane, head);
    liar.ended = () => fails(liar, lane, head);
  };
  for (let tries = 0; tries < 8; tries++) {
    const from = seen.length;
    const { port } = stage.broker.listeners.plain;
    const wire = await Wire.plain(port);
    const length = body === "" && method !== "POST" ? "" : `Content-Length: ${body.length}\r\n`;
    wire.send(`${method} / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${length}\r\n${body}`);
    const { status, body: answer, end } = await wire.response();
    wire.close();
    if (!isHit) {
      assert.equal(status, 200);
      continue;
    }
    const bodies = seen.slice(from).map((text) => text === `${method} ${body}` ? "whole" : "damaged");
    return `${status} ${
      end === "cut" ? "cut" : answer.length < 20 ? answer : "page"
    } seen ${bodies.length} ${bodies}`
      .trim();
  }
  throw new Error("The lying connector was never asked");
}

const lost: Failure = (liar) => liar.foreign.dialled.session.destroy();
const refused: Failure = (_liar, lane) => lane.abort({ code: "app_unknown", begun: false });
const SMALL = "x".repeat(20_000);
const LARGE = "x".repeat(100_000);

for (
  const [what, method, body, fails, outcome] of [
    ["not begun", "GET", "", refused, "200 served seen 1 whole"],
    ["not begun", "POST", "", refused, "200 served seen 1 whole"],
    ["not begun", "POST", SMALL, refused, "200 served seen 1 whole"],
    ["not begun", "PATCH", SMALL, refused, "200 served seen 1 whole"],
    ["a lost tunnel", "GET", "", lost, "200 served seen 1 whole"],
    ["a lost tunnel", "DELETE", "", lost, "200 served seen 1 whole"],
    ["a lost tunnel", "PUT", SMALL, lost, "200 served seen 1 whole"],
    ["a lost tunnel", "PUT", LARGE, lost, "502 page seen 0"],
    ["a lost tunnel", "POST", "", lost, "502 page seen 0"],
    ["a lost tunnel", "POST", SMALL, lost, "502 page seen 0"],
    ["a lost tunnel", "PATCH", SMALL, lost, "502 page seen 0"],
  ] as const
) {
  test(`after ${what}: ${method} with ${body.length} bytes: ${outcome}`, async () => {
    assert.equal(await failed(method, body, fails), outcome);
  });
}

test("once the response has begun nothing is sent again: the user sees it broken off", async () => {
  const begun: Failure = (liar, lane) => {
    lane.sendResponse({ status: 200, reason: "OK", headers: ["Content-Length", "100"], hasBody: true });
    lane.sendData(Buffer.from("some"));
    const { session } = liar.foreign.dialled;
    session.ping(() => session.destroy()); // The broker has it by then.
  };
  assert.equal(await failed("GET", "", begun), "200 cut seen 0");
});

test("at most a fifth of the requests is sent a second time, beside the few that a new app has at once", async () => {
  await alone();
  await stage.connector.stop();
  using one = await LyingConnector.start(folders[0]!, USERS);
  using two = await LyingConnector.start(folders[1]!, USERS);
  let begun = 0;
  // Nothing by which the broker would avoid them; each request could be sent four times.
  one.answer = two.answer = (lane) => {
    begun += 1;
    lane.abort({ code: "app_unknown", begun: false });
  };
  // The budget is of this app alone, and new.
  const path = "/budget";
  await stage.publish(path, "http://127.0.0.1:1", { balancing: "round_robin" });
  const { port } = stage.broker.listeners.plain;
  let left = REQUESTS;
  await Promise.all(Array.from({ length: USERS }, async () => {
    const wire = await Wire.plain(port);
    while (left-- > 0) {
      wire.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: application/json\r\n\r\n`);
      assert.ok((await wire.response()).status >= 500);
    }
    wire.close();
  }));
  const again = begun - REQUESTS;
  assert.ok(again <= FIRST + REQUESTS / 5, `${again} were sent again`);
  assert.ok(again >= FIRST + REQUESTS / 5 - 2, `${again} were sent again`);
});
