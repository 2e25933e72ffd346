import { createPublicKey, X509Certificate } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startBroker } from "../../src/demo/processes.ts";
import { createCertificate, generatePrivateKey } from "../../src/platform/x509.ts";
import { newConnector } from "./connector.ts";
import { programs } from "./programs.ts";
import { Worker } from "./worker.ts";

/** Name under which the service is published. */
export const GRPC_HOST = "grpc.example.test";

const DAY_MS = 86_400_000;

/** A gRPC server, a Node hop and the product in front of it, and callers, each in a process of its own. */
export interface GrpcStage {
  server: Worker;
  callers: Worker;
  /** PEM that callers must trust. */
  ca: string;
  /** Port and processes of each way to the server; the direct one is in the clear. */
  ways: Readonly<Record<"direct" | "hop" | "product", { port: number; processes: Record<string, number> }>>;
  stop(): Promise<void>;
}

/** Starts all of it in `folder`. */
export async function startGrpcStage(folder: string): Promise<GrpcStage> {
  await using started = new AsyncDisposableStack();
  const worker = (script: string): Worker => {
    const running = new Worker(`grpc/${script}`);
    started.defer(() => running.stop());
    return running;
  };
  const server = worker("server.ts");
  const hop = worker("hop.ts");
  const callers = worker("client.ts");
  const { ca, cert, key } = await certificate();
  const backendPort = await server.call<number>("start");
  const hopPort = await hop.call<number>("start", { backendPort, cert, key });
  await mkdir(folder, { recursive: true });
  const files = { hosts: [GRPC_HOST], certFile: join(folder, "cert.pem"), keyFile: join(folder, "key.pem") };
  await writeFile(files.certFile, cert);
  await writeFile(files.keyFile, key, { mode: 0o600 });
  const broker = await startBroker({
    bundle: (await programs()).broker,
    dataDir: join(folder, "broker"),
    args: ["--certificates", JSON.stringify([files])],
  });
  started.defer(async () => void await broker.child.stop(0));
  await broker.admin.request("POST", "apps", {
    name: "gRPC",
    groupId: "default",
    externalUrls: [`https://${GRPC_HOST}`],
    internalUrl: `http://127.0.0.1:${backendPort}`,
    backendProtocol: "h2c",
  });
  const connector = await newConnector(broker, folder);
  started.defer(async () => void await connector.child.stop(0));
  const running = started.move();
  return {
    server,
    callers,
    ca,
    ways: {
      direct: { port: backendPort, processes: {} },
      hop: { port: hopPort, processes: { hop: hop.pid } },
      product: {
        port: broker.listeners.public.port,
        processes: { broker: broker.child.pid, connector: connector.child.pid },
      },
    },
    stop: () => running.disposeAsync(),
  };
}

async function certificate(): Promise<{ ca: string; cert: string; key: string }> {
  const [rootKey, key] = await Promise.all([generatePrivateKey("p256"), generatePrivateKey("p256")]);
  const validity = { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) };
  const ca = await createCertificate({
    ...validity,
    purpose: "root",
    commonName: "Benchmark root",
    publicKey: createPublicKey(rootKey),
    issuer: { privateKey: rootKey, certificate: null },
  });
  const cert = await createCertificate({
    ...validity,
    purpose: "server",
    commonName: GRPC_HOST,
    dnsName: GRPC_HOST,
    publicKey: createPublicKey(key),
    issuer: { privateKey: rootKey, certificate: new X509Certificate(ca) },
  });
  return { ca, cert, key };
}
