/** TLS sessions of tunnels: none can be resumed past the checks of a certificate. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { Hono } from "hono";
import { publicKeyOf } from "../../src/broker/ca/authority.ts";
import { openCa } from "../../src/broker/ca/ca.ts";
import { createTunnelServer } from "../../src/broker/tunnel/server.ts";
import { silentLog } from "../../src/platform/log.ts";
import { generatePrivateKey } from "../../src/platform/x509.ts";

test("tunnel listener: no TLS session is resumed, also once its certificate was replaced", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-resumption-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true }));
  const ca = stack.use(await openCa(folder, { names: ["t.test"], log: silentLog }));
  const { key, cert } = ca.serverContext("t.test");
  const credentials = { key, cert, ca: ca.trustAnchors };
  const tunnels = createTunnelServer(new Hono(), {
    credentials,
    minVersion: "TLSv1.2",
    maxLanes: 10,
    onTlsError: () => {},
  });
  stack.defer(() => tunnels.close());
  const open = new Set<Socket>();
  const listener = createServer((socket) => {
    open.add(socket);
    tunnels.server.emit("connection", socket);
  }).listen(0, "127.0.0.1");
  await once(listener, "listening");
  stack.defer(() => {
    for (const socket of open) socket.destroy();
    listener.close();
  });
  const { port } = listener.address() as AddressInfo;
  const ownKey = await generatePrivateKey("p256");
  const { pem } = await ca.issueConnectorCertificate("c0ffee", publicKeyOf(ownKey));

  const dial = async (maxVersion: "TLSv1.2" | "TLSv1.3", session?: Buffer) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      servername: "t.test",
      ca: ca.trustAnchors,
      key: ownKey,
      cert: pem,
      ALPNProtocols: ["h2"],
      maxVersion,
      ...(session === undefined ? {} : { session }),
    });
    const tickets: Buffer[] = [];
    socket.on("session", (ticket) => tickets.push(ticket));
    await once(socket, "secureConnect");
    // SETTINGS come after any ticket.
    await once(socket, "data");
    const isReused = socket.isSessionReused();
    socket.destroy();
    return { isReused, session: tickets[0] ?? socket.getSession() };
  };
  for (const replaced of [false, true]) {
    if (replaced) tunnels.setCredentials(credentials);
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const { session } = await dial(version);
      const { isReused } = await dial(version, session);
      assert.equal(isReused, false, `${version}, ${replaced ? "after" : "before"}`);
    }
  }
});
