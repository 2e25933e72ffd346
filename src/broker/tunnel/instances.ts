import type { Log } from "../../platform/log.ts";
import { TunnelError } from "./errors.ts";

/** What this needs of a tunnel. */
export interface InstanceTunnel {
  readonly connectorId: string;
  readonly peer: { externalIp: string };
  readonly isOpen: boolean;
  answers(ms: number): Promise<boolean>;
  close(reason: Error): void;
}

/** How long a tunnel may take to show that there is still someone at its end, milliseconds. */
const ALIVE_MS = 3_000;
const MAX_ID = 64;

/**
 * Which processes (instances) have tunnels with one connector's identity. Several tunnels of one instance are its own
 * affair: it takes over from itself. Two instances at once are two hosts or processes with one key.
 */
export class Instances {
  readonly #log: Log;
  /** By connector: the instance that is about to take over, by the word of the one that serves. */
  readonly #successors = new Map<string, string>();
  /** The instance of each tunnel that was let in. */
  readonly #of = new Map<InstanceTunnel, string>();

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Lets a tunnel in, or throws `identity_shared` where sharing is refused and another instance answers. One that does
   * not answer has gone: its tunnels are closed.
   */
  async enter(tunnel: InstanceTunnel, instanceId: string, sharing: "allow" | "refuse"): Promise<void> {
    const { connectorId, peer } = tunnel;
    if (this.#successors.get(connectorId) === instanceId) {
      this.#log.info("a process takes over from another one", {
        connector: connectorId,
        instance: instanceId,
      });
      if (tunnel.isOpen) this.#of.set(tunnel, instanceId);
      return;
    }
    const facts = () => ({
      code: "identity_shared",
      connector: connectorId,
      instance: instanceId,
      externalIp: peer.externalIp,
      others: this.#rivals(connectorId, instanceId).map(([{ peer }, instance]) => ({
        instance,
        externalIp: peer.externalIp,
      })),
    });
    if (sharing === "refuse" && this.#rivals(connectorId, instanceId).length > 0) {
      await this.#closeDead(connectorId, instanceId);
      // Looked at again: another one may have come in the meantime.
      if (this.#rivals(connectorId, instanceId).length > 0) {
        this.#log.warn("refused a second instance with one identity", facts());
        throw new TunnelError(
          "identity_shared",
          `Cannot open tunnel: another process is connected as connector "${connectorId}"`,
        );
      }
    }
    if (this.#rivals(connectorId, instanceId).length > 0) {
      this.#log.warn("two instances use one identity: if that is not meant, its key was copied", facts());
    }
    if (tunnel.isOpen) this.#of.set(tunnel, instanceId);
  }

  /** An instance that was let in says who takes over from it: that one is no rival. */
  announced(tunnel: InstanceTunnel, successor: unknown): void {
    if (!this.#of.has(tunnel)) return;
    if (typeof successor !== "string" || successor === "" || successor.length > MAX_ID) return;
    this.#successors.set(tunnel.connectorId, successor);
  }

  /** A tunnel has ended, or its instance is about to stop. */
  left(tunnel: InstanceTunnel): void {
    this.#of.delete(tunnel);
    if (![...this.#of.keys()].some(({ connectorId }) => connectorId === tunnel.connectorId)) {
      this.#successors.delete(tunnel.connectorId);
    }
  }

  #rivals(connectorId: string, instanceId: string): [InstanceTunnel, string][] {
    return [...this.#of].filter(([one, id]) => one.connectorId === connectorId && id !== instanceId);
  }

  async #closeDead(connectorId: string, instanceId: string): Promise<void> {
    await Promise.all(
      this.#rivals(connectorId, instanceId).map(async ([rival]) => {
        if (await rival.answers(ALIVE_MS)) return;
        this.#of.delete(rival);
        rival.close(new TunnelError("tunnel_replaced", "A newer process of this connector took over"));
      }),
    );
  }
}
