import type { Log } from "../platform/log.ts";
import { unlessAborted } from "../platform/unless_aborted.ts";
import { VERSION } from "../platform/version.ts";
import { formatHostPort } from "../protocol/address.ts";
import type { BrokerAddress } from "./broker_addresses.ts";
import { dialTunnel } from "./dial.ts";
import { RegistrationError } from "./identity/errors.ts";
import type { Identity } from "./identity/identity.ts";
import { reenrol } from "./identity/reenrol.ts";
import { renewIdentity } from "./identity/renewal.ts";
import type { ProxyFor } from "./outbound/proxy.ts";
import type { DialTarget } from "./tunnel_socket.ts";

/** What coming back needs of the running connector. */
export interface ComebackOptions {
  stateDir: string;
  identity: () => Identity;
  /** The identity that is in use from now on. */
  use: (next: Identity) => void;
  targetOf: (identity: Identity) => DialTarget;
  machineName: string;
  os: string;
  /** Milliseconds for each step of a conversation with the broker. */
  stepMs: number;
  /** The proxy on the way to the broker; none by default. */
  proxyFor?: ProxyFor | undefined;
  log: Log;
  now?: () => number;
}

/** One way to come back that is being tried. */
interface Attempt {
  way: string;
  over: Promise<void>;
}

/**
 * Gets another certificate where the one in use has expired, which no tunnel can do any more: by proving its key to the
 * broker. Several tunnels that ask at once by the same address wait for the same; by different ones they try in turn.
 */
export class Comeback {
  readonly #options: ComebackOptions;
  #running: Attempt | null = null;
  #stopping = new AbortController();

  constructor(options: ComebackOptions) {
    this.#options = options;
  }

  /**
   * Resolves at once while the certificate is good, and where only this host's clock has it expired: the broker decides by its
   * own. `address`: by which way the broker is asked. Throws `RegistrationError`, `StateError`, `RenewalError`, `DialError`. */
  async ensure(signal: AbortSignal, address?: BrokerAddress): Promise<void> {
    if (this.#isGood()) return;
    const { identity, log } = this.#options;
    const lasting = AbortSignal.any([signal, this.#stopping.signal]);
    const way = formatHostPort(address ?? identity().address);
    let isOver = false;
    while (!isOver && !this.#isGood()) {
      const before = this.#running;
      isOver = before === null || before.way === way;
      const { over } = before ?? this.#begin(way, address);
      await unlessAborted(lasting, over).catch((error: Error) => {
        if (!isOver && !lasting.aborted) return; // Its own way has not been tried yet.
        if (!isGoodByBrokersClock(error, identity().notAfter)) throw error;
        log.warn("certificate has expired by this host's clock only, which is wrong: used all the same");
      });
    }
  }

  #isGood(): boolean {
    const { identity, now = Date.now } = this.#options;
    return now() < identity().notAfter;
  }

  /** Goes on until `stop`, whoever of those who wait for it gives up. */
  #begin(way: string, address: BrokerAddress): Attempt {
    const over = this.#comeBack(this.#stopping.signal, address).finally(() => this.#running = null);
    return this.#running = { way, over };
  }

  /** Gives up what is under way; once it has resolved nothing is written to the state folder any more, until `ensure` is called again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#stopping = new AbortController();
    await this.#running?.over.catch(() => {}); // Told to those who wait for it.
  }

  async #comeBack(signal: AbortSignal, address: BrokerAddress): Promise<void> {
    const { stateDir, use, targetOf, machineName, os, stepMs, log, proxyFor } = this.#options;
    const identity = this.#options.identity();
    const way = address === undefined ? {} : { address };
    const ended = new Date(identity.notAfter).toISOString();
    log.warn("certificate has expired: asking the broker for another with a proof of its key", { ended });
    const next = await renewIdentity({
      stateDir,
      identity,
      ask: (csr) =>
        reenrol({ ...identity, ...way }, {
          csr,
          machineName,
          os,
          version: VERSION,
          stepMs,
          signal,
          proxyFor,
        }),
      prove: async (candidate) => {
        const { session } = await dialTunnel({ ...targetOf(candidate), ...way }, stepMs, signal);
        setImmediate(() => session.destroy());
      },
      untidy: (error) => log.warn("cannot tidy up after coming back", { error: error.message }),
    });
    use(next);
    log.info("came back with a new certificate", { notAfter: new Date(next.notAfter).toISOString() });
  }
}

/** True where coming back was refused for this host's clock, and the certificate is good by the broker's. */
function isGoodByBrokersClock(error: Error, notAfter: number): boolean {
  if (!(error instanceof RegistrationError) || error.code !== "clock_wrong") return false;
  return Date.parse(String(error.details.brokerTime)) < notAfter;
}
