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

/** One tunnel's process. */
interface Instance {
  id: string;
  /** Whose tunnels came first: lower is older. One process keeps its place while any tunnel of it is there. */
  place: number;
}

/**
 * Which processes (instances) have tunnels with one connector's identity. Several tunnels of one instance are its own
 * affair: it takes over from itself. Two instances at once are two hosts or processes with one key. Where that is refused,
 * the one that was there first stays: a copied key must not be able to drive its owner out.
 */
export class Instances<T extends InstanceTunnel = InstanceTunnel> {
  readonly #log: Log;
  /** By connector: the instance that is about to take over, by the word of one that serves. */
  readonly #successors = new Map<string, { id: string; by: Instance }>();
  /** The instance of each tunnel that was let in. */
  readonly #of = new Map<T, Instance>();
  #places = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Lets a tunnel in, or throws `identity_shared` where sharing is refused and another instance answers. One that does
   * not answer has gone: its tunnels are closed. True: it is the first tunnel of its instance.
   */
  async enter(tunnel: T, instanceId: string, sharing: "allow" | "refuse"): Promise<boolean> {
    const { connectorId, peer } = tunnel;
    if (this.#successors.get(connectorId)?.id === instanceId) {
      this.#log.info("a process takes over from another one", {
        connector: connectorId,
        instance: instanceId,
      });
      return this.#add(tunnel, instanceId);
    }
    const facts = () => this.#facts(connectorId, instanceId, peer.externalIp);
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
    return this.#add(tunnel, instanceId);
  }

  /**
   * Sharing is refused from now on: gives the tunnels that are to be ended, all but those of the oldest instance of each
   * connector that answers, and of a successor that it has announced. Those of older ones that do not answer are closed.
   */
  async unshare(): Promise<T[]> {
    const leaving: T[] = [];
    await Promise.all([...new Set(this.#connectors())].map(async (connectorId) => {
      for (const id of this.#byAge(connectorId)) {
        if (this.#rivals(connectorId, id).length === 0) return;
        const answer = await Promise.all(
          this.#tunnelsOf(connectorId, id).map((one) => one.answers(ALIVE_MS)),
        );
        if (!answer.includes(true)) {
          this.#closeAll(this.#tunnelsOf(connectorId, id));
          continue;
        }
        const successor = this.#successors.get(connectorId);
        for (const [tunnel, rival] of this.#rivals(connectorId, id)) {
          if (successor?.by.id === id && successor.id === rival.id) continue;
          this.#log.warn(
            "ended a second instance with one identity",
            this.#facts(connectorId, rival.id, tunnel.peer.externalIp),
          );
          leaving.push(tunnel);
        }
        return;
      }
    }));
    return leaving;
  }

  /** An instance that was let in says who takes over from it: that one is no rival. */
  announced(tunnel: T, successor: unknown): void {
    const by = this.#of.get(tunnel);
    if (by === undefined) return;
    if (typeof successor !== "string" || successor === "" || successor.length > MAX_ID) return;
    this.#successors.set(tunnel.connectorId, { id: successor, by });
  }

  /** A tunnel has ended, or its instance is about to stop. True: it was the last one of its instance. */
  left(tunnel: T): boolean {
    const { connectorId } = tunnel;
    const instance = this.#of.get(tunnel);
    if (!this.#of.delete(tunnel)) return false;
    if (![...this.#connectors()].includes(connectorId)) this.#successors.delete(connectorId);
    return this.#tunnelsOf(connectorId, instance!.id).length === 0;
  }

  #add(tunnel: T, id: string): boolean {
    const { connectorId } = tunnel;
    const [sibling] = this.#tunnelsOf(connectorId, id);
    if (!tunnel.isOpen) return false;
    const place = sibling === undefined ? this.#placeOf(connectorId, id) : this.#of.get(sibling)!.place;
    this.#of.set(tunnel, { id, place });
    return sibling === undefined;
  }

  /** A successor has the place of the one before. */
  #placeOf(connectorId: string, id: string): number {
    const successor = this.#successors.get(connectorId);
    return successor?.id === id ? successor.by.place : this.#places++;
  }

  *#connectors(): Iterable<string> {
    for (const { connectorId } of this.#of.keys()) yield connectorId;
  }

  #tunnelsOf(connectorId: string, id: string): T[] {
    return [...this.#of].filter(([one, of]) => one.connectorId === connectorId && of.id === id)
      .map(([one]) => one);
  }

  /** Ids of a connector's instances, the oldest first; of two in one place the one that was there before. */
  #byAge(connectorId: string): string[] {
    const own = [...this.#of].filter(([one]) => one.connectorId === connectorId).map(([, instance]) =>
      instance
    );
    return [...new Set(own.sort((a, b) => a.place - b.place).map(({ id }) => id))];
  }

  #rivals(connectorId: string, instanceId: string): [T, Instance][] {
    return [...this.#of].filter(([one, { id }]) => one.connectorId === connectorId && id !== instanceId);
  }

  #facts(connectorId: string, instance: string, externalIp: string): Record<string, unknown> {
    const others = this.#rivals(connectorId, instance).map(([{ peer }, { id }]) => ({
      instance: id,
      externalIp: peer.externalIp,
    }));
    return { code: "identity_shared", connector: connectorId, instance, externalIp, others };
  }

  async #closeDead(connectorId: string, instanceId: string): Promise<void> {
    await Promise.all(
      this.#rivals(connectorId, instanceId).map(async ([rival]) => {
        if (!await rival.answers(ALIVE_MS)) this.#closeAll([rival]);
      }),
    );
  }

  #closeAll(tunnels: readonly T[]): void {
    for (const tunnel of tunnels) {
      this.#of.delete(tunnel);
      tunnel.close(new TunnelError("tunnel_replaced", "A newer process of this connector took over"));
    }
  }
}
