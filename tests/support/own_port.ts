import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

/** Ports below are those of servers that a machine may have. */
const LOWEST = 10_000;
const HIGHEST = 65_535;
/** So many there must be to choose from. */
const ENOUGH = 2_000;
const TRIES = 100;

/** A port of the loopback that nobody else gets until it is disposed of, whether anybody listens there or not. */
export interface OwnPort extends Disposable {
  readonly port: number;
}

/**
 * One for what is to listen where it did before, for a program that cannot say which port it was given, or for a port that
 * is to be closed. The system gives it to nobody by itself, and no other test chooses it: its number is held as a port of
 * UDP as well.
 */
export async function ownPort(): Promise<OwnPort> {
  const [from, to] = choice();
  for (let i = 0; i < TRIES; i++) {
    const port = from + Math.floor(Math.random() * (to - from + 1));
    const held = createSocket("udp4");
    try {
      held.bind({ address: "127.0.0.1", port, exclusive: true });
      await once(held, "listening");
      const probe = createServer().listen(port, "127.0.0.1");
      await once(probe, "listening");
      await new Promise((resolve) => probe.close(resolve));
      return { port, [Symbol.dispose]: () => void held.close() };
    } catch (error) {
      held.close();
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
  throw new Error(`Cannot find a port: ${TRIES} between ${from} and ${to} are taken`);
}

/** From and to: outside of the range from which the system gives ports where that leaves enough. */
function choice(): [number, number] {
  let given: number[];
  try {
    given = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number);
  } catch {
    given = [49_152, HIGHEST]; // What IANA leaves to systems.
  }
  const [first = LOWEST, last = HIGHEST] = given;
  if (first - LOWEST >= ENOUGH) return [LOWEST, first - 1];
  if (HIGHEST - last >= ENOUGH) return [last + 1, HIGHEST];
  return [LOWEST, HIGHEST];
}
