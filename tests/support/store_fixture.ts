import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { DEFAULT_TRAFFIC } from "../../src/broker/app_traffic.ts";
import type { Actor, AppSettings } from "../../src/broker/model.ts";
import { DEFAULT_GROUP_ID } from "../../src/broker/model.ts";
import type { Change, Store } from "../../src/broker/store/port.ts";
import { openStore, type StoreOptions } from "../../src/broker/store/sqlite.ts";
import { DEFAULT_BACKEND_TLS, DEFAULT_TIMEOUTS } from "../../src/protocol/app.ts";

/** Who changes things in tests. */
export const ADMIN: Actor = { kind: "admin", id: "tester", address: "192.0.2.1" };

/** A clock that tests move by hand. */
export class ManualClock {
  time = 1_800_000_000_000;
  now(): number {
    return this.time;
  }
}

/** A folder that is gone after the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-store-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A store in a folder of its own, with what it told its listeners. */
export async function temporaryStore(t: TestContext, options: Partial<StoreOptions> = {}): Promise<{
  store: Store & AsyncDisposable;
  path: string;
  clock: ManualClock;
  changes: Change[];
}> {
  const path = options.path ?? join(temporaryFolder(t), "data", "sallyport.db");
  const clock = new ManualClock();
  const store = await openStore({ clock, ...options, path });
  t.after(() => store.close());
  const changes: Change[] = [];
  store.onChange((change) => changes.push(change));
  return { store, path, clock, changes };
}

/** Settings of an app, published at a URL of its own. */
export function appSettings(name: string, more: Partial<AppSettings> = {}): AppSettings {
  return {
    name,
    groupId: DEFAULT_GROUP_ID,
    externalUrls: [`https://${name.toLowerCase()}.example.com/`],
    internalUrl: "http://10.0.0.5:8080/",
    enabled: true,
    hostHeader: "backend",
    timeouts: DEFAULT_TIMEOUTS,
    backendTls: DEFAULT_BACKEND_TLS,
    ...DEFAULT_TRAFFIC,
    ...more,
  };
}

/** What an enrolling connector says, with a key of its own. */
export function newConnector(key: string) {
  return {
    machineName: `host-${key}`,
    os: "linux",
    softwareVersion: "0.1.0",
    externalIp: "198.51.100.7",
    publicKeySha256: key.repeat(64).slice(0, 64),
  };
}

/** An enrolment token with many uses and a day to live, and a connector enrolled with it. */
export async function enrolOne(
  store: Store,
  clock: ManualClock,
  key = "a",
  groupId: string = DEFAULT_GROUP_ID,
) {
  const secretSha256 = `secret of ${key}`;
  const expiresAt = clock.now() + 86_400_000;
  const token = await store.createEnrolmentToken(ADMIN, {
    description: "test",
    groupId,
    expiresAt,
    maxUses: 10,
    secretSha256,
  });
  return {
    token,
    secretSha256,
    connector: await store.enrolConnector(secretSha256, newConnector(key), clock.now()),
  };
}
