import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { AdminListenError } from "../../src/broker/admin/errors.ts";
import { serveAdmin } from "../../src/broker/admin/serve.ts";
import { MAX_BODY_BYTES } from "../../src/broker/admin/app.ts";
import { adminFixture, assertProblem, readAnswer } from "../support/admin_fixture.ts";
import { ownPort } from "../support/own_port.ts";

test("admin listener: takes chunked bodies, and stops reading one that is too large", async (t) => {
  const { app, token } = await adminFixture(t);
  const server = await serveAdmin(app, { host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  const post = async (chunks: string[]) => {
    const body = new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
        controller.close();
      },
    });
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const init = { method: "POST", headers, body, duplex: "half" };
    return await readAnswer(await fetch(`${server.url}/api/v1/groups`, init as RequestInit));
  };
  const made = await post(['{"na', 'me":"Ber', 'lin"}']);
  assert.deepEqual([made.status, made.body.name], [201, "Berlin"], JSON.stringify(made.body));
  const chunk = " ".repeat(65_536);
  assertProblem(
    await post(Array.from({ length: MAX_BODY_BYTES / 65_536 + 1 }, () => chunk)),
    413,
    "body_too_large",
  );
});

test("admin listener: close ends idle, half-sent and silent connections; the port is free again", async (t) => {
  const { app } = await adminFixture(t);
  using own = await ownPort();
  const server = await serveAdmin(app, { host: "127.0.0.1", port: own.port });
  const open = async (text: string) => {
    const socket = connect(server.port, "127.0.0.1");
    await once(socket, "connect");
    socket.on("error", () => {});
    if (text !== "") socket.write(text);
    return socket;
  };
  const idle = await open("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(idle, "data");
  const sockets = [idle, await open(""), await open("GET /livez HTTP/1.1\r\nHo")];
  const closed = sockets.map((socket) => {
    // Not `once`, which takes a reset for a failure: either way the connection has ended.
    return new Promise<void>((resolve) => socket.resume().on("close", () => resolve()));
  });
  await Promise.all([server.close(), ...closed]);
  await server.close();
  const again = await serveAdmin(app, { host: "127.0.0.1", port: server.port });
  await again.close();
});

test("admin listener: a port in use is an error with a code", async (t) => {
  const { app } = await adminFixture(t);
  const server = await serveAdmin(app, { host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  await assert.rejects(serveAdmin(app, { host: "127.0.0.1", port: server.port }), (error: unknown) => {
    return error instanceof AdminListenError && error.code === "admin_listen_failed";
  });
});

test("admin listener: leaves the runtime's own Request and Response alone", async (t) => {
  const { Request: request, Response: response } = globalThis;
  const { app } = await adminFixture(t);
  const server = await serveAdmin(app, { host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  assert.equal((await fetch(`${server.url}/livez`)).status, 200);
  assert.ok(globalThis.Request === request && globalThis.Response === response);
});
