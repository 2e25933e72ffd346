import assert from "node:assert/strict";
import { test } from "node:test";
import { openBrowserPage } from "../support/browser.ts";
import { needsProgram } from "../support/debian.ts";
import { ingressStage } from "../support/ingress_stage.ts";
import { echo, websocketBackend } from "../support/websocket_peers.ts";

const HOST = "ws.example.test";

test("browser: a page that came over HTTP/2 opens its WebSocket over HTTP/2, too", async (t) => {
  const chromium = needsProgram(t, "chromium", "chromium");
  if (chromium === null) return;
  await using stage = await ingressStage();
  await using backend = await websocketBackend();
  let via = "";
  backend.serve = (socket, request) => {
    via = request.headers.via ?? "";
    echo(socket);
  };
  await stage.publish("ws", `https://${HOST}`, backend.origin);
  const page = await openBrowserPage(t, chromium, [
    "--ignore-certificate-errors",
    `--host-resolver-rules=MAP ${HOST} 127.0.0.1`,
  ]);
  await page.open(`https://${HOST}:${stage.tlsPort}/`);
  const protocol = await page.evaluate(`performance.getEntriesByType("navigation")[0].nextHopProtocol`);
  assert.equal(protocol, "h2");
  const seen = await page.evaluate(`new Promise((resolve, reject) => {
    const socket = new WebSocket(location.href.replace("http", "ws") + "chat");
    const got = [];
    socket.onerror = () => reject(new Error("the WebSocket failed"));
    socket.onopen = () => socket.send("1");
    socket.onmessage = ({ data }) => {
      got.push(data);
      if (got.length < 5) socket.send(String(got.length + 1));
      else socket.close(4001, "done");
    };
    socket.onclose = ({ code, reason }) => resolve({ got, code, reason });
  })`);
  assert.deepEqual(seen, { got: ["1", "2", "3", "4", "5"], code: 4001, reason: "done" });
  assert.match(via, /^2(\.0)? /); // Of the hop from the browser (RFC 9110 section 7.6.3).
  assert.deepEqual(page.complaints, []);
});
