import type { CertificateRecord, ConnectorRecord } from "../model.ts";
import { isStoreFailure } from "./errors.ts";
import { type GroupApps, withChanges } from "./group_apps.ts";
import type { AppChanges, Store } from "./port.ts";

/** The calls that a connector's tunnel depends on. */
export type TunnelStore = Pick<
  Store,
  "getConnector" | "findCertificate" | "getSettings" | "appChanges" | "noteConnectorSeen" | "onChange"
>;

type Certificate = CertificateRecord & { pem: string };

/** Connectors and certificates kept, at most; the ones asked for longest ago go first. */
const MOST_KEPT = 20_000;

/**
 * The store as tunnels see it: what they read last stands in while the store cannot be read, so that known connectors
 * may reconnect. What a change has touched is forgotten at once: whoever was revoked, disabled, moved or deleted is
 * then as unknown as one that never came, and stays out until the store answers.
 */
export class RememberedStore implements TunnelStore, Disposable {
  readonly #store: TunnelStore;
  readonly #connectors = new Map<string, ConnectorRecord>();
  readonly #certificates = new Map<string, Certificate>();
  readonly #apps = new Map<string, GroupApps>();
  readonly #stop: () => void;
  #settings: Awaited<ReturnType<Store["getSettings"]>> | undefined;
  /** Counts changes: what was read before one and comes after it is not kept. */
  #changes = 0;

  constructor(store: TunnelStore) {
    this.#store = store;
    this.#stop = store.onChange((change) => {
      this.#changes += 1;
      if (change.kind === "connector") this.#connectors.delete(change.id);
      if (change.kind === "certificate") this.#certificates.delete(change.serial);
    });
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  async getConnector(id: string): Promise<ConnectorRecord> {
    return (await this.#recall(this.#connectors, id, () => this.#store.getConnector(id)))!;
  }

  findCertificate(serial: string): ReturnType<Store["findCertificate"]> {
    return this.#recall(this.#certificates, serial, () => this.#store.findCertificate(serial));
  }

  async getSettings(): ReturnType<Store["getSettings"]> {
    try {
      return this.#settings = await this.#store.getSettings();
    } catch (error) {
      if (!isStoreFailure(error) || this.#settings === undefined) throw error;
      return this.#settings;
    }
  }

  async appChanges(groupId: string, since: number): Promise<AppChanges> {
    const known = this.#apps.get(groupId);
    try {
      const changes = await this.#store.appChanges(groupId, since);
      if (changes.full || (known !== undefined && since <= known.revision)) {
        this.#apps.set(groupId, withChanges(known, changes));
      } else if (known === undefined || known.revision < changes.revision) {
        this.#apps.set(groupId, withChanges(undefined, await this.#store.appChanges(groupId, 0)));
      }
      return changes;
    } catch (error) {
      if (!isStoreFailure(error) || known === undefined) throw error;
      const { revision } = known;
      if (revision === since) return { revision, full: false, apps: [], removedIds: [] };
      return { revision, full: true, apps: [...known.apps.values()], removedIds: [] };
    }
  }

  /** The apps of a group as they were when a connector last asked for them; undefined when none has. */
  knownApps(groupId: string): GroupApps | undefined {
    return this.#apps.get(groupId);
  }

  noteConnectorSeen(...args: Parameters<Store["noteConnectorSeen"]>): Promise<void> {
    return this.#store.noteConnectorSeen(...args);
  }

  onChange(...args: Parameters<Store["onChange"]>): () => void {
    return this.#store.onChange(...args);
  }

  async #recall<T>(kept: Map<string, T>, key: string, read: () => Promise<T | null>): Promise<T | null> {
    const before = this.#changes;
    try {
      const found = await read();
      kept.delete(key);
      if (found === null || before !== this.#changes) return found;
      if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
      kept.set(key, found);
      return found;
    } catch (error) {
      const last = kept.get(key);
      if (!isStoreFailure(error) || last === undefined) throw error;
      return last;
    }
  }
}
