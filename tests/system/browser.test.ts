import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { test, type TestContext } from "node:test";
import { Child } from "../../src/demo/child.ts";
import { sourceCommand } from "../../src/demo/runtime.ts";
import { openBrowserPage } from "../support/browser.ts";
import { needsProgram } from "../support/debian.ts";

const READY_MS = 60_000;

/** The public URL of a demo of its own. */
async function publish(t: TestContext, ...url: string[]): Promise<string> {
  const { command, args } = sourceCommand("node", "demo/main.ts");
  const demo = await Child.start({ name: "demo", command, args: [...args, "--json", ...url] });
  t.after(() => demo.stop());
  return (await demo.ready(READY_MS) as { publicUrl: string }).publicUrl;
}

/** Resolves with the first value of `expression` that holds, looked at whenever the page changes. */
const changed = (expression: string) =>
  `new Promise((resolve) => {
    const look = () => { const value = ${expression}; if (value) { watch.disconnect(); resolve(value); } };
    const watch = new MutationObserver(look);
    watch.observe(document.body, { childList: true, subtree: true, characterData: true });
    look();
  })`;

test("browser: the sample application works through the tunnel, form, stream, clock and cookie", async (t) => {
  const chromium = needsProgram(t, "chromium", "chromium");
  if (chromium === null) return;
  const [publicUrl, page] = await Promise.all([publish(t), openBrowserPage(t, chromium)]);

  await page.open(publicUrl);
  assert.equal(await page.evaluate(`document.querySelector("h1").textContent`), "It works.");

  const clock = `document.getElementById("clock").textContent`;
  const first = await page.evaluate(changed(`${clock}.startsWith("2") && ${clock}`));
  const later = await page.evaluate(changed(`${clock} !== ${JSON.stringify(first)} && ${clock}`));
  assert.ok(String(later) > String(first), `${first}, then ${later}`);

  // The page is counted in changes: a response that comes whole would make one.
  const stream = await page.evaluate(`new Promise((resolve) => {
    let changes = 0;
    const out = document.getElementById("stream"), start = document.getElementById("start");
    new MutationObserver(() => changes++).observe(out, { childList: true });
    new MutationObserver(() => start.disabled || resolve({ changes, text: out.textContent }))
      .observe(start, { attributes: true });
    start.click();
  })`) as { changes: number; text: string };
  assert.deepEqual(
    stream.text.trimEnd().split("\n").map((line) => line.split(",")[0]),
    Array.from({ length: 12 }, (_, i) => `line ${i + 1} of 12`),
  );
  // A machine that stands still for a second or two brings several at once.
  assert.ok(stream.changes >= 3, `${stream.changes} changes`);

  await page.open(`${publicUrl}?again`);
  assert.match(
    String(await page.evaluate(`document.querySelector("header").textContent`)),
    /here once before/,
  );

  const echo = await page.evaluate(`(async () => {
    const form = document.querySelector("form");
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.action, { method: "POST", body });
    return new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("section").textContent;
  })()`);
  assert.match(String(echo), /Grüße, ça va\?/);
  assert.deepEqual(page.complaints, []);
});

const PAGE = `<!doctype html><link rel="icon" href="data:,"><title>echo</title>`;

test("browser: a WebSocket talks both ways, and its close arrives with code and reason", async (t) => {
  const chromium = needsProgram(t, "chromium", "chromium");
  if (chromium === null) return;
  const backend = createServer((_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(PAGE);
  });
  const sockets = new Set<Duplex>();
  backend.on("upgrade", (request, socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    // RFC 6455, section 4.2.2.
    const accept = createHash("sha1").update(
      `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
    ).digest("base64");
    // A browser's Origin is the public address: an application that compares must find its Host the same.
    const trusted = new URL(request.headers.origin ?? "http://none").host === request.headers.host;
    socket.write(
      trusted
        ? `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
        : "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    );
    echoFrames(socket);
  });
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  t.after(() => {
    backend.close();
    backend.closeAllConnections();
    for (const socket of sockets) socket.destroy();
  });
  const internalUrl = `http://127.0.0.1:${(backend.address() as AddressInfo).port}`;
  const [publicUrl, page] = await Promise.all([publish(t, internalUrl), openBrowserPage(t, chromium)]);

  await page.open(publicUrl);
  const seen = await page.evaluate(`new Promise((resolve, reject) => {
    const socket = new WebSocket(location.href.replace("http", "ws") + "comms?a=1");
    const got = [];
    socket.onerror = () => reject(new Error("the WebSocket failed"));
    socket.onopen = () => socket.send("1 grüße");
    socket.onmessage = ({ data }) => {
      got.push(data);
      if (got.length < 20) socket.send((got.length + 1) + " grüße");
      else socket.close(4001, "done");
    };
    socket.onclose = ({ code, reason, wasClean }) => resolve({ got, code, reason, wasClean });
  })`);
  assert.deepEqual(seen, {
    got: Array.from({ length: 20 }, (_, i) => `${i + 1} grüße`),
    code: 4001,
    reason: "done",
    wasClean: true,
  });
  assert.deepEqual(page.complaints, []);
});

/** Sends back each short frame (RFC 6455, section 5.2) that comes, unmasked; after a close frame, ends. */
function echoFrames(socket: Duplex): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2) {
      const length = pending[1]! & 0x7f;
      if (length > 125) return void socket.destroy();
      if (pending.length < 6 + length) return;
      const mask = pending.subarray(2, 6);
      const payload = pending.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]!);
      socket.write(Buffer.concat([Buffer.from([pending[0]!, length]), payload]));
      if ((pending[0]! & 0x0f) === 8) return void socket.end();
      pending = pending.subarray(6 + length);
    }
  });
}
