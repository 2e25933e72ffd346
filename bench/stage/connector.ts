import { join } from "node:path";
import { type BrokerProcess, type ConnectorProcess, startConnector } from "../../src/demo/processes.ts";
import { programs } from "./programs.ts";

/** Starts a connector that is new; it registers by itself, which is one process less to wait for. */
export async function newConnector(broker: BrokerProcess, folder: string): Promise<ConnectorProcess> {
  const token = await broker.admin.enrolmentToken();
  const { connector } = await programs();
  return startConnector({
    stateDir: join(folder, "connector"),
    env: { SALLYPORT_TOKEN: token },
    bundle: connector,
  });
}
