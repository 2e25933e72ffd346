import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { publicKeyOf } from "../../src/broker/ca/authority.ts";
import { type Ca, openCa } from "../../src/broker/ca/ca.ts";
import type { DialTarget } from "../../src/connector/tunnel_socket.ts";
import { silentLog } from "../../src/platform/log.ts";
import { generatePrivateKey } from "../../src/platform/x509.ts";

/** Name in the certificates of brokers that tests make themselves. */
export const TUNNEL_NAME = "tunnel.sallyport.test";

/** An authority with a server's key and certificate, and a connector's. */
export interface TunnelIdentity extends AsyncDisposable {
  ca: Ca;
  /** For the server: key, certificate, and whom it trusts. */
  server: { key: string; cert: string; ca: string };
  /** What a connector of this authority dials with. */
  target(port: number): DialTarget;
}

/** Makes all of it in a folder that goes when it is disposed. */
export async function tunnelIdentity(connectorId = "connector_1"): Promise<TunnelIdentity> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-identity-"));
  const ca = await openCa(folder, { names: [TUNNEL_NAME], log: silentLog });
  const key = await generatePrivateKey("p256");
  const { pem } = await ca.issueConnectorCertificate(connectorId, publicKeyOf(key));
  const context = ca.serverContext(TUNNEL_NAME);
  return {
    ca,
    server: { key: context.key, cert: context.cert, ca: ca.trustAnchors },
    target: (port) => ({
      address: { host: "127.0.0.1", port },
      tunnelName: TUNNEL_NAME,
      ca: ca.trustAnchors,
      certificate: pem,
      key,
    }),
    async [Symbol.asyncDispose]() {
      await ca[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
