import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { createServer } from "node:tls";
import type { TLSSocket } from "node:tls";
import { test } from "node:test";
import type { Lookup } from "../../src/connector/backend/dial.ts";
import type { ConnectorApp } from "../../src/protocol/app.ts";
import { TestAuthority } from "../support/backend_certificates.ts";
import type { ServerIdentity } from "../support/backend_certificates.ts";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { answerOk, listen, rawBackend } from "../support/raw_backend.ts";

const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
const authority = await TestAuthority.create();
const good = await authority.server("wiki.test");
const expired = await authority.server("wiki.test", -1);

/** Deno's TLS says of every certificate that fails, but for its name, that it cannot be verified. */
const EXPIRED = "Deno" in globalThis ? "backend_tls_untrusted" : "backend_tls_expired";

const lookup: Lookup = (_name, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]);

type Context = { after(fn: () => Promise<void>): void };

/** A TLS backend with the names that clients asked for. */
async function tlsBackend(t: Context, { key, cert }: ServerIdentity) {
  const sockets: Socket[] = [];
  const names: unknown[] = [];
  const resumed: boolean[] = [];
  const server = createServer({ key, cert }, (socket: TLSSocket) => {
    names.push(socket.servername);
    resumed.push(socket.isSessionReused());
    socket.on("error", () => {});
    socket.on("data", (bytes: Uint8Array) => {
      const close = Buffer.from(bytes).includes("/close");
      socket.write(answerOk("ok", close ? "Connection: close\r\n" : ""));
      if (close) socket.end();
    });
  });
  server.on("connection", (socket: Socket) => sockets.push(socket));
  const port = await listen(t, server, sockets);
  return { port, names, resumed };
}

for (const [name, extra] of ADAPTERS) {
  const request = { headers: ["Host", "user.example", ...extra] };

  const run = async (
    t: Context,
    identity: ServerIdentity,
    tls: Partial<ConnectorApp["tls"]>,
    host = "wiki.test",
  ) => {
    const backend = await tlsBackend(t, identity);
    const app = backendApp(`https://${host}:${backend.port}`, { tls });
    return { backend, app, got: exchange(testBackends(t, { lookup }), app, request) };
  };

  test(`${name}: a certificate of the app's own CA, whatever Host the user sent`, async (t) => {
    const { backend, got } = await run(t, good, { validate: true, ca: authority.ca });
    assert.equal((await completed(got)).body, "ok");
    assert.deepEqual(backend.names, ["wiki.test"]);
  });

  test(`${name}: several Hosts share one connection`, async (t) => {
    const backend = await tlsBackend(t, good);
    const backends = testBackends(t, { lookup });
    const app = backendApp(`https://wiki.test:${backend.port}`, {
      tls: { validate: true, ca: authority.ca },
    });
    for (const host of ["a.example", "b.example", "c.example"]) {
      await completed(exchange(backends, app, { headers: ["Host", host, ...extra] }));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(backend.names, ["wiki.test"]);
  });

  test(`${name}: the server name setting is what is asked for and checked`, async (t) => {
    const tls = { validate: true, ca: authority.ca, serverName: "wiki.test" };
    for (const host of ["other.test", "127.0.0.1"]) {
      const { backend, got } = await run(t, good, tls, host);
      await completed(got);
      assert.deepEqual(backend.names, ["wiki.test"]);
    }
  });

  for (
    const [what, identity, tls, host, code] of [
      ["a CA that is not trusted", good, { validate: true }, "wiki.test", "backend_tls_untrusted"],
      ["another name", good, { validate: true, ca: authority.ca }, "other.test", "backend_tls_name_mismatch"],
      [
        "an address for which it is not",
        good,
        { validate: true, ca: authority.ca },
        "127.0.0.1",
        "backend_tls_name_mismatch",
      ],
      [
        "an expired certificate",
        expired,
        { validate: true, ca: authority.ca },
        "wiki.test",
        EXPIRED,
      ],
    ] as const
  ) {
    test(`${name}: ${what} is ${code}`, async (t) => {
      const { got } = await run(t, identity, tls, host);
      const failed = await failure(got);
      assert.deepEqual([failed.code, failed.begun], [code, false], failed.message);
    });

    test(`${name}: ${what} is accepted where validation is off`, async (t) => {
      const { got } = await run(t, identity, { ...tls, validate: false }, host);
      assert.equal((await completed(got)).body, "ok");
    });
  }

  test(`${name}: a server without TLS`, async (t) => {
    const backend = await rawBackend(t, () => {});
    backend.connections.push = function (socket) {
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      return Array.prototype.push.call(this, socket);
    };
    const got = exchange(testBackends(t), backendApp(`https://127.0.0.1:${backend.port}`), request);
    const { code, begun } = await failure(got);
    assert.deepEqual([code, begun], ["backend_tls_failed", false]);
  });

  test(`${name}: silence instead of a handshake runs into the connect timeout`, async (t) => {
    const backend = await rawBackend(t, () => {});
    const timeouts = { connectMs: 300 };
    const got = exchange(
      testBackends(t),
      backendApp(`https://127.0.0.1:${backend.port}`, { timeouts }),
      request,
    );
    const { code, begun } = await failure(got);
    assert.deepEqual([code, begun], ["backend_connect_timeout", false]);
  });
}

test("a second connection resumes the TLS session of the first", {
  skip: "Deno" in globalThis && "Deno's TLS does not tell of sessions",
}, async (t) => {
  const backend = await tlsBackend(t, good);
  const backends = testBackends(t, { lookup });
  const app = backendApp(`https://wiki.test:${backend.port}`, { tls: { validate: true, ca: authority.ca } });
  for (let i = 0; i < 2; i++) await completed(exchange(backends, app, { target: "/close" }));
  assert.deepEqual(backend.resumed, [false, true]);
});
