import { createSecureContext } from "node:tls";
import type { Ca } from "./ca/ca.ts";
import type { Certificates } from "./ingress/certificates.ts";

/** Keeps the CA's certificate for `name` among the public ones; returns the way to stop. */
export function serveOwnCertificate(ca: Ca, certificates: Certificates, name: string): () => void {
  const register = () => {
    const { key, cert } = ca.serverContext(name);
    return certificates.register(name, createSecureContext({ key, cert, minVersion: "TLSv1.2" }));
  };
  let unregister = register();
  const stop = ca.onServerContext((context) => {
    if (context.name !== name) return;
    unregister();
    unregister = register();
  });
  return () => {
    stop();
    unregister();
  };
}
