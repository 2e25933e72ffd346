import type {
  Actor,
  AdminToken,
  App,
  AppSettings,
  AuditEntry,
  CertificateRecord,
  ConnectorRecord,
  EnrolmentToken,
  Group,
  Settings,
  Timestamp,
} from "../model.ts";

/** What of an enrolment token can be changed; what is not named stays. */
export type EnrolmentTokenPatch = Partial<
  Pick<EnrolmentToken, "description" | "expiresAt" | "maxUses" | "machineName" | "networks">
>;

/** One page of a list, in order of `id` unless said otherwise; `next` is the cursor of the following page. */
export interface Page<T> {
  items: T[];
  next: string | null;
}

/** Which part of a list: `limit` 1 to 1,000, `cursor` from the page before. */
export interface PageQuery {
  limit: number;
  cursor?: string;
}

/** Settings as they are. */
export interface KeptSettings {
  settings: Settings;
  /** Those of them that an administrator has said something about. */
  given: Partial<Settings>;
  version: number;
}

/** What has changed, told to listeners after it is on disk. An app that moves is one change, of both groups. */
export type Change =
  | { kind: "apps"; groupIds: readonly string[] }
  | { kind: "groups" }
  | { kind: "connector"; id: string; what: "created" | "updated" | "deleted" }
  | { kind: "certificate"; serial: string; connectorId: string; what: "revoked" }
  | { kind: "settings" };

/**
 * What a connector has to learn to get from one revision of its group's apps to the current one. Revisions are of one
 * group: for a connector that has moved to another group, ask for changes since 0.
 */
export interface AppChanges {
  /** The group's revision that these changes lead to. */
  revision: number;
  /** True: forget everything and take `apps` as the whole (the asked revision is too old or unknown). */
  full: boolean;
  apps: App[];
  removedIds: string[];
}

/** What enrolment hands to the store, in one transaction with the use of the token. */
export interface NewConnector {
  machineName: string;
  os: string;
  softwareVersion: string;
  externalIp: string;
  publicKeySha256: string;
}

/** A certificate just issued. */
export interface NewCertificate {
  serial: string;
  notBefore: Timestamp;
  notAfter: Timestamp;
  publicKeySha256: string;
  /** Leaf and what leads to the root. */
  pem: string;
}

/**
 * The broker's memory. Every mutating call is one transaction with its audit entry, and resolves when it is on disk.
 * A change that changes nothing (the same values, revoked again) is answered with the record as it is: no new version,
 * no audit entry. Errors are `StoreError` with codes `not_found`, `version_conflict`, `name_taken`, `url_taken`,
 * `group_not_empty`, `group_undeletable`, `admin_token_last`, `value_invalid` (a cursor or URL that cannot be read), `store_unavailable`
 * (retryable; nothing was applied), `store_damaged`, `store_failed`; enrolment: `TokenRefusedError` with codes
 * `token_unknown`, `token_expired`, `token_used`, `token_revoked`, `token_wrong_machine`, `token_wrong_network`,
 * `connector_unknown`, `connector_disabled`, `key_taken`. `expectedVersion` undefined means "whatever it is".
 */
export interface Store {
  listGroups(query: PageQuery): Promise<Page<Group>>;
  getGroup(id: string): Promise<Group>;
  createGroup(actor: Actor, name: string): Promise<Group>;
  updateGroup(actor: Actor, id: string, name: string, expectedVersion?: number): Promise<Group>;
  /** Only a group without apps and connectors; its enrolment tokens go with it. */
  deleteGroup(actor: Actor, id: string, expectedVersion?: number): Promise<void>;

  listApps(query: PageQuery & { groupId?: string }): Promise<Page<App>>;
  getApp(id: string): Promise<App>;
  createApp(actor: Actor, settings: AppSettings): Promise<App>;
  updateApp(actor: Actor, id: string, patch: Partial<AppSettings>, expectedVersion?: number): Promise<App>;
  deleteApp(actor: Actor, id: string, expectedVersion?: number): Promise<void>;
  /** Current configuration revision of a group; starts at 1, grows with every change of its apps. */
  groupRevision(groupId: string): Promise<number>;
  /** Changes of a group's enabled apps since a revision (0: everything). */
  appChanges(groupId: string, since: number): Promise<AppChanges>;

  listConnectors(query: PageQuery & { groupId?: string }): Promise<Page<ConnectorRecord>>;
  getConnector(id: string): Promise<ConnectorRecord>;
  updateConnector(
    actor: Actor,
    id: string,
    patch: { groupId?: string; enabled?: boolean },
    expectedVersion?: number,
  ): Promise<ConnectorRecord>;
  deleteConnector(actor: Actor, id: string, expectedVersion?: number): Promise<void>;
  /**
   * Adds `ms` to the absence of all connectors but those that are in `connected` or disabled, whose absence ends; not
   * audited. Gives the ids of some that have been absent for `limitMs` or more in all.
   */
  noteAbsence(connected: readonly string[], ms: number, limitMs: number): Promise<string[]>;
  /**
   * Notes facts of a tunnel; not audited, does not change `version`. Survives the end of the process at once, a loss
   * of power only after the next change.
   */
  noteConnectorSeen(
    id: string,
    seen: {
      at: Timestamp;
      externalIp?: string;
      softwareVersion?: string;
      machineName?: string;
      os?: string;
      /** The certificate that the tunnel was opened with. */
      certificateSerial?: string;
      /** Fingerprints of the trust anchors on its disk, as it says. */
      trustedRoots?: readonly string[];
    },
  ): Promise<void>;

  listEnrolmentTokens(query: PageQuery): Promise<Page<EnrolmentToken>>;
  getEnrolmentToken(id: string): Promise<EnrolmentToken>;
  createEnrolmentToken(
    actor: Actor,
    token: {
      description: string;
      groupId: string;
      expiresAt: Timestamp;
      maxUses: number;
      secretSha256: string;
      machineName?: string | null;
      networks?: readonly string[];
      /** `connector_unknown` where there is none with this id; its group is the token's then. */
      connectorId?: string | null;
    },
  ): Promise<EnrolmentToken>;
  /** `token_revoked` where it is, `value_invalid` for fewer uses than it has had. */
  updateEnrolmentToken(
    actor: Actor,
    id: string,
    patch: EnrolmentTokenPatch,
    expectedVersion?: number,
  ): Promise<EnrolmentToken>;
  revokeEnrolmentToken(actor: Actor, id: string): Promise<EnrolmentToken>;
  /**
   * Uses a token once and makes the connector, together or not at all. The same `publicKeySha256` again with a token
   * that is neither revoked nor expired (an answer was lost) gives the connector made before and takes no further use.
   * A token bound to a connector gives that one, with the new key; what was issued to it before is revoked.
   */
  enrolConnector(secretSha256: string, connector: NewConnector, now: Timestamp): Promise<ConnectorRecord>;
  /**
   * Records a certificate issued to a connector: before it is given away. `vouchedBy` is the serial number of the one
   * whose key asked: `certificate_revoked` where it has been revoked meanwhile.
   */
  setConnectorCertificate(
    id: string,
    certificate: NewCertificate,
    vouchedBy?: string,
  ): Promise<void>;
  /** The newest certificate issued to a connector, PEM; null before the first. */
  connectorCertificate(id: string): Promise<string | null>;
  /**
   * The newest certificate issued to a connector for this key that has begun, PEM; null where there is none. Throws `certificate_revoked`
   * where one for this key was revoked: the key is worth nothing then.
   */
  certificateForKey(id: string, publicKeySha256: string): Promise<string | null>;
  /** A certificate with its PEM, of connectors that are gone, too; null where none has this serial number. */
  findCertificate(serial: string): Promise<CertificateRecord & { pem: string } | null>;
  /** True where a tunnel was opened with a certificate that the connector got after this one. */
  isSuperseded(serial: string): Promise<boolean>;
  /** In order of serial number. */
  listCertificates(
    query: PageQuery & { connectorId?: string; revoked?: boolean },
  ): Promise<Page<CertificateRecord>>;
  /** Revokes one certificate; its connector may have others. */
  revokeCertificate(actor: Actor, serial: string, reason: string): Promise<CertificateRecord>;

  listAdminTokens(query: PageQuery): Promise<Page<AdminToken>>;
  getAdminToken(id: string): Promise<AdminToken>;
  createAdminToken(actor: Actor, name: string, secretSha256: string): Promise<AdminToken>;
  /** Not the last one: `admin_token_last`. */
  revokeAdminToken(actor: Actor, id: string): Promise<AdminToken>;
  /** Makes a token and revokes all others, in one transaction. */
  replaceAdminTokens(actor: Actor, name: string, secretSha256: string): Promise<AdminToken>;
  /** The live admin token with this hash, or null. Notes the use, at most once a minute. */
  findAdminToken(secretSha256: string): Promise<AdminToken | null>;

  getSettings(): Promise<KeptSettings>;
  updateSettings(
    actor: Actor,
    patch: Partial<Settings>,
    expectedVersion?: number,
  ): Promise<KeptSettings>;

  /** Newest first. */
  listAudit(query: PageQuery): Promise<Page<AuditEntry>>;

  /** Calls `listener` after each change, once it is on disk; returns the way to stop. A listener that throws is logged. */
  onChange(listener: (change: Change) => void): () => void;
  /** True when a trivial read works: part of readiness. */
  ping(): Promise<boolean>;
  /** Why changes cannot be made now, in words; null when they can, as far as the last one tells. */
  writeTrouble(): Promise<string | null>;
  /** Writes a consistent copy to a new file (mode 0600) while in use: whole or not at all. Never over an existing file. */
  backup(path: string): Promise<void>;
  /** Ends after the calls already made; later ones fail. */
  close(): Promise<void>;
}
