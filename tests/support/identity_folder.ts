import { createPublicKey } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Identity, saveIdentity } from "../../src/connector/identity/identity.ts";
import { prepareStateFolder } from "../../src/connector/identity/state_folder.ts";
import { readCertificates } from "../../src/platform/certificate.ts";
import { Secret } from "../../src/platform/secret.ts";
import {
  createCertificate,
  generatePrivateKey,
  type KeyType,
  readCertificateRequest,
} from "../../src/platform/x509.ts";
import type { HostPort } from "../../src/protocol/address.ts";

/** The time of `identityFolder`: its certificate has ten more days. */
export const NOW = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;

/** A state folder with an identity of an authority that nobody else has. */
export interface IdentityFolder {
  state: string;
  identity: Identity;
  /** Signs for the key of a request. */
  sign: (csr: string, connectorId?: string) => Promise<string>;
}

/** Makes one; it is removed when the test ends. */
export async function identityFolder(
  t: TestContext,
  keyType: KeyType = "p256",
  address: HostPort = { host: "broker.test", port: 443 },
): Promise<IdentityFolder> {
  const parent = await mkdtemp(join(tmpdir(), "sallyport-renewal-"));
  t.after(() => rm(parent, { recursive: true, force: true }));
  const rootKey = await generatePrivateKey("p256");
  const dates = { notBefore: new Date(NOW - DAY_MS), notAfter: new Date(NOW + 90 * DAY_MS) };
  const ca = await createCertificate({
    purpose: "root",
    commonName: "root",
    publicKey: createPublicKey(rootKey),
    ...dates,
    issuer: { privateKey: rootKey, certificate: null },
  });
  const issue = (publicKey: ReturnType<typeof createPublicKey>, connectorId: string, notAfter: number) =>
    createCertificate({
      purpose: "client",
      commonName: connectorId,
      uri: `sallyport:connector:${connectorId}`,
      publicKey,
      notBefore: dates.notBefore,
      notAfter: new Date(notAfter),
      issuer: { privateKey: rootKey, certificate: readCertificates(ca)[0] },
    });
  const key = await generatePrivateKey(keyType);
  const notAfter = NOW + 10 * DAY_MS;
  const identity: Identity = {
    connectorId: "c0ffee",
    address,
    tunnelName: "tunnel.test",
    enrolName: "enrol.test",
    ca,
    certificate: await issue(createPublicKey(key), "c0ffee", notAfter),
    key: new Secret(key),
    notAfter,
  };
  const state = join(parent, "state");
  await prepareStateFolder(state);
  await saveIdentity(state, identity);
  return {
    state,
    identity,
    sign: async (csr, connectorId = "c0ffee") =>
      await issue((await readCertificateRequest(csr)).publicKey, connectorId, NOW + 80 * DAY_MS),
  };
}
