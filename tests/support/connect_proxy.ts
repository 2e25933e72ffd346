import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createServer as createTlsServer, TLSSocket } from "node:tls";
import { createPublicKey } from "node:crypto";
import { createCertificate, generatePrivateKey } from "../../src/platform/x509.ts";

const HOUR_MS = 3_600_000;

/** A certificate that signs itself, with its key, PEM. */
export interface OwnCertificate {
  key: string;
  cert: string;
}

/** Makes a certificate for this name of an authority of nobody but itself. */
export async function ownCertificate(commonName: string, dnsName = commonName): Promise<OwnCertificate> {
  const key = await generatePrivateKey("p256");
  const now = Date.now();
  const cert = await createCertificate({
    purpose: "server",
    commonName,
    dnsName,
    publicKey: createPublicKey(key),
    notBefore: new Date(now - HOUR_MS),
    notAfter: new Date(now + HOUR_MS),
    issuer: { privateKey: key, certificate: null },
  });
  return { key, cert };
}

/** A proxy for CONNECT, in this process. */
export interface ConnectProxy extends AsyncDisposable {
  port: number;
  /** What was asked for, e.g. `127.0.0.1:443`. */
  readonly asked: readonly string[];
}

/** How it differs from a plain one. */
export interface ConnectProxyOptions {
  /** TLS to the proxy itself, with this certificate. */
  tls?: OwnCertificate;
  /** Ends the TLS that is spoken through it, with this certificate. */
  intercept?: OwnCertificate;
  /** What it answers instead of doing anything; `null`: nothing at all. */
  answer?: string | null;
}

/** Starts one on a free port of the loopback. */
export async function connectProxy(options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
  const { tls, intercept, answer } = options;
  const asked: string[] = [];
  const open = new Set<Socket>();
  const keep = (socket: Socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => open.delete(socket));
  };
  const serve = (client: Socket) => {
    keep(client);
    let head = "";
    const onData = (bytes: Buffer) => {
      head += bytes.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      client.off("data", onData);
      const target = /^CONNECT (\S+) /.exec(head)?.[1] ?? "";
      asked.push(target);
      if (answer === null) return;
      if (answer !== undefined) return void client.write(answer);
      client.pause();
      const established = "HTTP/1.1 200 Connection established\r\n\r\n";
      if (intercept !== undefined) {
        client.write(established);
        return keep(
          new TLSSocket(client, { isServer: true, ...intercept, ALPNProtocols: ["h2", "http/1.1"] }),
        );
      }
      const [host = "", port = ""] = target.split(/:(?=[0-9]+$)/);
      const far = connect({ host, port: Number(port) }, () => {
        client.write(established);
        client.pipe(far).pipe(client);
      });
      keep(far);
      far.on("close", () => client.destroy());
      client.on("close", () => far.destroy());
    };
    client.on("data", onData);
  };
  const server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  server.on("connection", (socket: Socket) => tls === undefined || keep(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
