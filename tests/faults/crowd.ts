import { writeFile } from "node:fs/promises";
import { publicKeyOf } from "../../src/broker/ca/authority.ts";
import { openCa } from "../../src/broker/ca/ca.ts";
import { dataFolder } from "../../src/broker/data_folder.ts";
import { createEnrolmentSecret } from "../../src/broker/enrol/secret.ts";
import { openStore } from "../../src/broker/store/sqlite.ts";
import { silentLog } from "../../src/platform/log.ts";
import { generatePrivateKey } from "../../src/platform/x509.ts";

/** Names that a broker has unless told otherwise. */
const NAMES = { tunnelName: "tunnel.sallyport.internal", enrolName: "enrol.sallyport.internal" };
const DAY_MS = 86_400_000;

/** What the process of many connectors is told. */
export interface Crowd {
  ca: string;
  tunnelName: string;
  members: { certificate: string; key: string }[];
}

/** Enrols many connectors in a data folder that no broker uses, and writes who they are into a file. */
export async function enrolCrowd(dataDir: string, count: number, file: string): Promise<void> {
  await using ca = await openCa(dataDir, { names: Object.values(NAMES), log: silentLog });
  await using store = await openStore({ path: dataFolder(dataDir).store });
  const { sha256 } = createEnrolmentSecret();
  await store.createEnrolmentToken({ kind: "admin", id: "test" }, {
    description: "",
    groupId: "default",
    expiresAt: Date.now() + DAY_MS,
    maxUses: count,
    secretSha256: sha256,
  });
  const members: Crowd["members"] = [];
  for (let i = 0; i < count; i++) {
    const key = await generatePrivateKey("p256");
    const { id } = await store.enrolConnector(sha256, {
      machineName: `member-${i}`,
      os: "simulated",
      softwareVersion: "0.0.1",
      externalIp: "127.0.0.1",
      publicKeySha256: String(i).padStart(64, "0"),
    }, Date.now());
    const issued = await ca.issueConnectorCertificate(id, publicKeyOf(key));
    await store.setConnectorCertificate(id, issued);
    members.push({ certificate: issued.pem, key });
  }
  const crowd: Crowd = { ca: ca.trustAnchors, tunnelName: NAMES.tunnelName, members };
  await writeFile(file, JSON.stringify(crowd), { mode: 0o600 });
}
