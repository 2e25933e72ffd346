import type { LinkOptions } from "../relay/link.ts";
import { Worker } from "./worker.ts";

/** A running relay. */
export interface Relay {
  /** Where to connect to. */
  port: number;
  pid: number;
  /** Says where connections go. */
  target(port: number): Promise<void>;
  /** How many connections it has accepted. */
  accepted(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts a relay on a free loopback port. */
export async function startRelay(options: LinkOptions): Promise<Relay> {
  const worker = new Worker("relay/main.ts");
  const port = await worker.call<number>("listen", options);
  return {
    port,
    pid: worker.pid,
    target: (port) => worker.call("target", { port }),
    accepted: () => worker.call("accepted"),
    stop: () => worker.stop(),
  };
}
