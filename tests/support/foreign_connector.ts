import { once } from "node:events";
import type { ClientHttp2Stream } from "node:http2";
import { type DialledTunnel, dialTunnel } from "../../src/connector/dial.ts";
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { OLDEST_PROTOCOL_REVISION, PROTOCOL_REVISION } from "../../src/protocol/messages.ts";
import { ControlChannel, type ControlHandler, type Fields } from "../../src/tunnel/control_channel.ts";

/** A connector that does only what a test tells it: a dialled tunnel that has said hello, no lanes. */
export interface ForeignConnector extends Disposable {
  dialled: DialledTunnel;
  control: ControlChannel;
  /** The answer to hello. */
  welcome: Fields;
  /** Bytes that came on the control stream so far. */
  readonly bytesReceived: number;
  /** Resolves when the tunnel has ended. */
  closed: Promise<void>;
  /** Opens a lane and waits until the broker has taken it. */
  openLane(): Promise<ClientHttp2Stream>;
}

/** Dials with the identity in a state folder and says hello. */
export async function foreignConnector(
  stateDir: string,
  notice: (type: string, fields: Fields) => void = () => {},
  capabilities: readonly string[] = [],
): Promise<ForeignConnector> {
  const identity = await loadIdentity(stateDir);
  const dialled = await dialTunnel(
    { ...identity, key: identity.key.reveal() },
    30_000,
    new AbortController().signal,
  );
  const { session } = dialled;
  const closed = new Promise<void>((resolve) => session.once("close", () => resolve()));
  session.on("error", () => {});
  let bytesReceived = 0;
  const handler: ControlHandler = {
    request: () => Promise.resolve("unsupported" as const),
    notice,
    received: (bytes) => bytesReceived += bytes,
    closed: () => session.destroy(),
  };
  const control = new ControlChannel(dialled.control, handler);
  const welcome = await control.request("hello", {
    revision: PROTOCOL_REVISION,
    oldestRevision: OLDEST_PROTOCOL_REVISION,
    capabilities: [...capabilities],
    softwareVersion: "0.0.1",
    machineName: "foreign",
    os: "none",
    instanceId: "foreign",
  }, 30_000).catch((error) => {
    session.destroy();
    throw error;
  });
  return {
    dialled,
    control,
    welcome,
    closed,
    get bytesReceived() {
      return bytesReceived;
    },
    async openLane() {
      const stream = session.request({ ":method": "POST", ":path": "/tunnel/v1/lane" }, { endStream: false });
      stream.on("error", () => {});
      await once(stream, "response");
      return stream;
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}
