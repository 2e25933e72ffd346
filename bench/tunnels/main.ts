/** A connector that opens a tunnel and closes it again, over and over, with the connector's own code. Runs as a worker. */
import { loadIdentity } from "../../src/connector/identity/identity.ts";
import { Supervisor } from "../../src/connector/supervisor.ts";
import { silentLog } from "../../src/platform/log.ts";
import { idleConnector } from "../../tests/support/idle_connector.ts";
import { serveCalls } from "../stage/serve_calls.ts";

/** What to do. */
export interface TunnelsOptions {
  /** State folders of registered connectors that do not run; they take turns. */
  stateDirs: string[];
  count: number;
}

const STEP_MS = 10_000;

const context = idleConnector();

/** Opens and closes `count` tunnels, one after another; rejects when one does not get ready. */
async function openAndClose({ stateDirs, count }: TunnelsOptions): Promise<void> {
  const identities = await Promise.all(stateDirs.map((stateDir) => loadIdentity(stateDir)));
  for (let done = 0; done < count; done++) {
    const { address, tunnelName, ca, certificate, key } = identities[done % identities.length]!;
    const target = () => ({ address, tunnelName, ca, certificate, key: key.reveal() });
    const over = new AbortController();
    const supervisor = new Supervisor({
      context,
      log: silentLog,
      stepMs: STEP_MS,
      target,
      onReady: () => over.abort(),
    });
    await supervisor.run(over.signal);
  }
}

/** Collects garbage: what stays of a tunnel is asked, not what is not yet collected. */
function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

serveCalls({ openAndClose, collect });
