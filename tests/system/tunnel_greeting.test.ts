/** What the broker does with a connector that holds a certificate and then does nothing with it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import type { AddressInfo } from "node:net";
import { connect as connectTls } from "node:tls";
import { test } from "node:test";
import { createTunnelApp } from "../../src/broker/tunnel/app.ts";
import { createTunnelServer } from "../../src/broker/tunnel/server.ts";
import { silentLog } from "../../src/platform/log.ts";
import { TUNNEL_NAME, tunnelIdentity } from "../support/tunnel_identity.ts";
import { until } from "../support/until.ts";

test("a connector that does not say hello is sent away, one that has is not", async () => {
  await using identity = await tunnelIdentity();
  const app = createTunnelApp({
    store: {} as never,
    tunnels: {} as never,
    identityOf: (leaf) => identity.ca.identityOf(leaf),
    externalIpOf: () => "192.0.2.1",
    log: silentLog,
  });
  let asked = 0;
  const { server, close } = createTunnelServer(app, {
    credentials: identity.server,
    minVersion: "TLSv1.3",
    maxLanes: 16,
    onTlsError: () => {},
    greetingMs: 50,
    hasGreeted: () => ++asked === 1,
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { ca, certificate, key } = identity.target(port);
  const session = async () => {
    const socket = connectTls({
      port,
      servername: TUNNEL_NAME,
      ca,
      cert: certificate,
      key,
      ALPNProtocols: ["h2"],
    });
    await once(socket, "secureConnect");
    const session = connect(`https://${TUNNEL_NAME}`, { createConnection: () => socket });
    session.on("error", () => {});
    return session;
  };
  const greeted = await session();
  await until("a certificate was asked for", () => asked > 0);
  const silent = await session();
  await once(silent, "close");
  assert.equal(asked, 2);
  assert.equal(greeted.closed, false);
  const closed = once(greeted, "close");
  close();
  await closed;
  server.close();
});
