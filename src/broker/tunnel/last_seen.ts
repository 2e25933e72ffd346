import type { Log } from "../../platform/log.ts";
import type { TunnelStore } from "../store/remembered.ts";
import type { BrokerTunnel } from "./tunnel.ts";

/** What noting needs of the broker. */
export interface LastSeenDeps {
  store: Pick<TunnelStore, "noteConnectorSeen">;
  log: Log;
}

/** Keeps on record when each connector was last seen, from where, and what it has said of itself. */
export class LastSeen {
  readonly #deps: LastSeenDeps;

  constructor(deps: LastSeenDeps) {
    this.#deps = deps;
  }

  /** The connector of a tunnel is there now; `trustedRoots`: the roots that it trusts, SHA-256 in hex. */
  note(tunnel: BrokerTunnel, more: { trustedRoots?: string[] } = {}): void {
    const { hello, peer, connectorId } = tunnel;
    const seen = {
      at: Date.now(),
      externalIp: peer.externalIp,
      certificateSerial: peer.serial,
      ...(hello === null ? {} : {
        softwareVersion: hello.softwareVersion,
        machineName: hello.machineName,
        os: hello.os,
      }),
      ...more,
    };
    this.#deps.store.noteConnectorSeen(connectorId, seen).catch((error: Error) => {
      // A deleted connector is expected here; anything else is worth a line, and no reason to end the tunnel.
      if ((error as { code?: string }).code === "not_found") return;
      this.#deps.log.warn("cannot note that connector was seen", {
        connector: connectorId,
        error: error.message,
      });
    });
  }
}
