import type { ConnectorApp } from "../../protocol/app.ts";
import type { ConfigPart } from "../../protocol/messages.ts";
import type { Reply } from "../../tunnel/control_channel.ts";
import type { App } from "../model.ts";
import type { AppChanges } from "../store/port.ts";

/** A part is sent once its apps take about this many bytes: well under the limit of a message. */
const PART_BYTES = 256 * 1024;

/** What a connector needs to know of an app. */
export function connectorApp(app: App): ConnectorApp {
  return {
    id: app.id,
    revision: app.revision,
    origin: new URL(app.internalUrl).origin,
    timeouts: app.timeouts,
    tls: app.backendTls,
    backendProtocol: app.backendProtocol,
    healthCheck: app.healthCheck,
  };
}

/** Answers `config.pull` with what has changed, in parts of bounded size; waits while the connector reads slowly. */
export async function answerPull(
  groupId: string,
  since: number,
  changes: AppChanges,
  reply: Reply,
): Promise<void> {
  if (!changes.full && changes.revision === since) {
    return await reply({ unchanged: true, groupId, revision: changes.revision });
  }
  let part = emptyPart(groupId, changes);
  let bytes = 0;
  for (const app of changes.apps) {
    const entry = connectorApp(app);
    const size = 512 + entry.origin.length + (entry.tls.ca?.length ?? 0);
    if (bytes + size > PART_BYTES && bytes > 0) {
      await reply({ ...part }, true);
      part = emptyPart(groupId, changes);
      bytes = 0;
    }
    part.apps.push(entry);
    bytes += size;
  }
  for (const id of changes.removedIds) {
    if (bytes > PART_BYTES) {
      await reply({ ...part }, true);
      part = emptyPart(groupId, changes);
      bytes = 0;
    }
    part.removedIds.push(id);
    bytes += id.length + 2;
  }
  await reply({ ...part });
}

function emptyPart(groupId: string, changes: AppChanges): ConfigPart {
  return { groupId, revision: changes.revision, full: changes.full, apps: [], removedIds: [] };
}
