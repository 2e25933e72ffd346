import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { publicKeyOf } from "../../src/broker/ca/authority.ts";
import { openCa } from "../../src/broker/ca/ca.ts";
import { dataFolder } from "../../src/broker/data_folder.ts";
import { createEnrolmentSecret } from "../../src/broker/enrol/secret.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { type Identity, saveIdentity } from "../../src/connector/identity/identity.ts";
import { prepareStateFolder } from "../../src/connector/identity/state_folder.ts";
import { silentLog } from "../../src/platform/log.ts";
import { Secret } from "../../src/platform/secret.ts";
import { generatePrivateKey } from "../../src/platform/x509.ts";

const DAY_MS = 86_400_000;
/** Names that a broker has unless told otherwise. */
const NAMES = { tunnelName: "tunnel.sallyport.internal", enrolName: "enrol.sallyport.internal" };

/** A connector that was enrolled long ago, as a broker's data folder knows it. */
export interface ExpiredConnector {
  connectorId: string;
  serial: string;
  key: string;
  /** Writes its state folder, for a broker at this port of the loopback. */
  save(stateDir: string, port: number): Promise<Identity>;
}

/** Makes, in the data folder of a broker that does not run, a connector whose certificate ended `daysAgo` days ago. */
export async function expiredConnector(
  dataDir: string,
  daysAgo: number,
  name = "old",
): Promise<ExpiredConnector> {
  const clock = { now: () => Date.now() - (daysAgo + 90) * DAY_MS };
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  await using ca = await openCa(dataDir, { names: Object.values(NAMES), log: silentLog, clock });
  await using store = await openStore({ path: dataFolder(dataDir).store, clock });
  const { sha256 } = createEnrolmentSecret();
  await store.createEnrolmentToken({ kind: "admin", id: "test" }, {
    description: "",
    groupId: "default",
    expiresAt: clock.now() + DAY_MS,
    maxUses: 1,
    secretSha256: sha256,
  });
  const key = await generatePrivateKey("p256");
  const { id: connectorId } = await store.enrolConnector(sha256, {
    machineName: name,
    os: "linux",
    softwareVersion: "0.0.1",
    externalIp: "127.0.0.1",
    publicKeySha256: sha256,
  }, clock.now());
  const issued = await ca.issueConnectorCertificate(connectorId, publicKeyOf(key));
  await store.setConnectorCertificate(connectorId, issued);
  const { trustAnchors } = ca;
  return {
    connectorId,
    serial: issued.serial,
    key,
    async save(stateDir, port) {
      const identity = {
        connectorId,
        address: { host: "127.0.0.1", port },
        ...NAMES,
        ca: trustAnchors,
        certificate: issued.pem,
        key: new Secret(key),
        notAfter: issued.notAfter,
      };
      await prepareStateFolder(stateDir);
      await saveIdentity(stateDir, identity);
      return identity;
    },
  };
}

/** A state folder below `folder`. */
export const stateFolder = (folder: string, name: string): string => join(folder, "state", name);
