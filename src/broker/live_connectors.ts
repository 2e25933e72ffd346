import type { LiveConnectors, LiveTunnel, Readiness } from "./admin/live.ts";
import type { BackendHealth } from "./registry/backend_health.ts";
import type { BrokerTunnel } from "./tunnel/tunnel.ts";
import type { Tunnels } from "./tunnel/tunnels.ts";

/** What the admin API shows of the tunnels; `state` says what the program itself is at. */
export function liveConnectors(
  tunnels: Tunnels,
  health: BackendHealth,
  state: () => "starting" | "serving" | "draining",
): LiveConnectors {
  return {
    tunnels: (connectorId) => [...tunnels.all()].filter((t) => t.connectorId === connectorId).map(liveTunnel),
    appsOutOfReach: (connectorId) => health.unwellAppsOf(connectorId, performance.now()),
    ready(): Readiness {
      const reasons: string[] = [];
      if (state() !== "serving") reasons.push(`the broker is ${state()}`);
      const all = [...tunnels.all()];
      if (!all.some((tunnel) => tunnel.isReady)) {
        const stuck = all.some((tunnel) => tunnel.isStuck);
        reasons.push(stuck ? "no exchange gets through any tunnel" : "no connector has a tunnel");
      }
      return { ready: reasons.length === 0, reasons };
    },
  };
}

function liveTunnel(tunnel: BrokerTunnel): LiveTunnel {
  const { hello } = tunnel;
  return {
    instanceId: hello?.instanceId ?? "",
    // One that is closed is in no list any more.
    state: tunnel.state === "closed" ? "draining" : tunnel.state,
    externalIp: tunnel.peer.externalIp,
    connectedAt: tunnel.connectedAt,
    softwareVersion: hello?.softwareVersion ?? "",
    configRevision: tunnel.configRevision,
    lanesIdle: tunnel.lanesIdle,
    lanesBusy: tunnel.busy,
    exchanges: tunnel.exchanges,
    bytesIn: tunnel.bytesSent,
    bytesOut: tunnel.bytesReceived,
    rttMs: tunnel.roundTripMs,
  };
}
