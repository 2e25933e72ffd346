import { EventEmitter } from "node:events";
import { duplexPair } from "node:stream";
import type { DialledTunnel } from "../../../src/connector/dial.ts";
import { KnownApps } from "../../../src/connector/known_apps.ts";
import type { TunnelContext } from "../../../src/connector/tunnel_context.ts";
import { silentLog } from "../../../src/platform/log.ts";
import { PROTOCOL_REVISION } from "../../../src/protocol/messages.ts";
import { ControlChannel, type Fields } from "../../../src/tunnel/control_channel.ts";
import { CreditBudget } from "../../../src/tunnel/credit_budget.ts";

/** A session that has no network behind it. */
export class FakeSession extends EventEmitter {
  destroyed = false;
  setLocalWindowSize(): void {}
  ping(): boolean {
    return true;
  }
  request(): unknown {
    const [stream] = duplexPair();
    return stream;
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }
}

/** A dialled tunnel whose broker answers hello and pulls; `asked` has the types of all requests, in order. */
export function goodTunnel(
  welcome: Fields = {},
): { dialled: DialledTunnel; session: FakeSession; channel: ControlChannel; asked: string[] } {
  const asked: string[] = [];
  const session = new FakeSession();
  const [ours, theirs] = duplexPair();
  const channel = new ControlChannel(theirs, {
    request: async (type, _fields, reply) => {
      asked.push(type);
      if (type === "config.pull") {
        return await reply({ groupId: "g", revision: 1, full: true, apps: [], removedIds: [] });
      }
      if (type !== "hello") return "unsupported";
      const facts = { nodeId: "n", nodes: [], softwareVersion: "1.0.0", connectorId: "c" };
      await reply({ revision: PROTOCOL_REVISION, capabilities: [], ...facts, ...welcome });
    },
    notice: () => {},
    received: () => {},
    closed: () => {},
  });
  session.on("close", () => channel.destroy(new Error("gone")));
  return {
    dialled: { session, control: ours, remoteAddress: "" } as unknown as DialledTunnel,
    session,
    channel,
    asked,
  };
}

/** What a tunnel needs of a connector without apps. */
export function context(): TunnelContext {
  const context: Partial<TunnelContext> = {
    apps: new KnownApps(),
    health: { failed: () => {}, changed: () => {}, outOfReach: [] },
    budget: new CreditBudget(1_000_000),
    log: silentLog,
    times: { pingIntervalMs: 60_000, timeoutMs: 180_000 },
    maxLanes: 100,
    configPullIntervalMs: 60_000,
    versionPollIntervalMs: 60_000,
    hello: {} as never,
    onNotice: () => {},
  };
  return context as TunnelContext;
}
