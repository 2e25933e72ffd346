/** A TCP relay that makes the loopback as slow as a real line. Runs as a worker: see `../stage/relay.ts`. */
import { type AddressInfo, createServer, Socket, type SocketConstructorOpts } from "node:net";
import { serveCalls } from "../stage/serve_calls.ts";
import { link, type LinkOptions } from "./link.ts";

/** Larger than a read, so that a burst is one write. */
const WRITE_BYTES = 1024 * 1024;

let options: LinkOptions = { delayMs: 0, bytesPerSecond: 0 };
let targetPort = 0;
let accepted = 0;
const open = new Set<Socket>();

const server = createServer({ allowHalfOpen: true, highWaterMark: WRITE_BYTES, noDelay: true }, (near) => {
  accepted++;
  const far = new Socket({ allowHalfOpen: true, highWaterMark: WRITE_BYTES } as SocketConstructorOpts);
  far.setNoDelay(true);
  far.connect({ host: "127.0.0.1", port: targetPort });
  for (const [one, other] of [[near, far], [far, near]]) {
    open.add(one);
    one.on("error", () => other.destroy());
    one.once("close", (failed) => {
      open.delete(one);
      if (failed) other.destroy();
    });
    link(one, other, options);
  }
});

serveCalls({
  /** Starts to listen; the port. */
  listen: (given: LinkOptions) => {
    options = given;
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
    });
  },
  target: ({ port }: { port: number }) => void (targetPort = port),
  /** Connections accepted since the start. */
  accepted: () => accepted,
});
