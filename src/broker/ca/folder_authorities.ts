import { isIssuedBy, validity } from "../../platform/certificate.ts";
import type { Log } from "../../platform/log.ts";
import type { Secret } from "../../platform/secret.ts";
import { createCertificate } from "../../platform/x509.ts";
import type { Authorities, AuthorityState, Leaf } from "./authorities.ts";
import { CaFolder, type CaKeys } from "./ca_folder.ts";
import { CaError } from "./errors.ts";
import {
  abandonRollOver,
  beginRollOver,
  changing,
  type Due,
  finishRollOver,
  renewIssuing,
  tidyRollOver,
  whatIsDue,
} from "./roll_over.ts";

/** A change that cannot be made is in the log so often. */
const COMPLAIN_EVERY_MS = 3_600_000;

/** How an authority in a data folder is kept. */
export interface FolderAuthoritiesOptions {
  dataDir: string;
  /** Encrypts its keys at rest. */
  key: Secret | null;
  /** Time that a new root is announced before it is used, milliseconds. */
  overlapMs: number;
  /** Asked where there is no authority: false where its loss must not go unnoticed. */
  mayCreate: () => Promise<boolean>;
  /** False while the clock may be wrong: what cannot be undone waits. */
  isClockTrusted: () => boolean;
  log: Log;
  clock: { now(): number };
}

/** The authority whose keys lie in the data folder. */
export class FolderAuthorities implements Authorities {
  readonly #folder: CaFolder;
  readonly #options: FolderAuthoritiesOptions;
  #keys: CaKeys;
  #mark: string;
  #state: AuthorityState;
  #complainedAt = 0;

  private constructor(options: FolderAuthoritiesOptions, folder: CaFolder, keys: CaKeys, mark: string) {
    this.#options = options;
    this.#folder = folder;
    this.#keys = keys;
    this.#mark = mark;
    this.#state = stateOf(keys);
  }

  /** Opens the authority in `dataDir`/ca, made at the first start. Throws `CaError`, `CaKeyError`. */
  static async open(options: FolderAuthoritiesOptions): Promise<FolderAuthorities> {
    const { dataDir, key, clock, mayCreate } = options;
    const folder = new CaFolder(dataDir, key);
    await folder.prepare(clock.now(), mayCreate);
    const mark = await folder.mark();
    const authorities = new FolderAuthorities(options, folder, await folder.read(clock.now()), mark);
    await authorities.tend();
    return authorities;
  }

  get state(): AuthorityState {
    return this.#state;
  }

  sign(leaf: Leaf): Promise<string> {
    return createCertificate({ ...leaf, issuer: this.#keys.issuing });
  }

  async tend(): Promise<boolean> {
    const { clock } = this.#options;
    let isNew = await this.#readAgain();
    const due = this.#dueOf(this.#keys, clock.now());
    if (due !== null && await this.#do(due)) isNew = await this.#readAgain() || isNew;
    const { root, issuing } = this.#keys;
    for (const certificate of [root, issuing.certificate]) {
      if (validity(certificate).notAfter > clock.now()) continue;
      const { dataDir } = this.#options;
      throw new CaError("ca_expired", `Cannot use the certificate authority in "${dataDir}": it has expired`);
    }
    return isNew;
  }

  #dueOf(keys: CaKeys, now: number): Due {
    const { overlapMs, isClockTrusted } = this.#options;
    return whatIsDue(keys, now, overlapMs, isClockTrusted());
  }

  /** Does what is due, unless another process has done so meanwhile; false when it cannot be done now. */
  async #do(due: NonNullable<Due>): Promise<boolean> {
    const { log, clock } = this.#options;
    const folder = this.#folder;
    try {
      await changing(folder, async () => {
        const now = clock.now();
        if (this.#dueOf(await folder.read(now), now) !== due) return;
        await CHANGES[due].make(folder, now);
      });
      this.#complainedAt = 0;
      log.info("Certificate authority changed", { what: CHANGES[due].what });
      return true;
    } catch (error) {
      // What is in use is good for long: this is tried again, and must not end the broker.
      if (clock.now() - this.#complainedAt < COMPLAIN_EVERY_MS) return false;
      this.#complainedAt = clock.now();
      log.error("Cannot change the certificate authority", {
        what: CHANGES[due].what,
        code: (error as { code?: string }).code ?? "error",
        error: String(error),
        issuingNotAfter: new Date(validity(this.#keys.issuing.certificate).notAfter).toISOString(),
      });
      return false;
    }
  }

  async #readAgain(): Promise<boolean> {
    const mark = await this.#folder.mark();
    if (mark === this.#mark) return false;
    this.#keys = await this.#folder.read(this.#options.clock.now());
    this.#mark = mark;
    this.#state = stateOf(this.#keys);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const CHANGES: Readonly<
  Record<NonNullable<Due>, { what: string; make: (folder: CaFolder, now: number) => Promise<void> }>
> = {
  tidy: { what: "roll-over tidied up", make: tidyRollOver },
  issuing: { what: "issuing certificate renewed", make: renewIssuing },
  begin: { what: "next root announced", make: beginRollOver },
  abandon: { what: "next root of the future dropped", make: abandonRollOver },
  finish: { what: "next root in use", make: finishRollOver },
};

function stateOf({ root, issuing, former, roots, next }: CaKeys): AuthorityState {
  const anchors = [root, ...roots.filter((one) => one !== root)];
  const issuers = [issuing.certificate, ...former, ...(next === null ? [] : [next.issuing.certificate])];
  return {
    issuing: issuing.certificate,
    root,
    anchors,
    issuers: issuers.filter((issuer) => anchors.some((anchor) => isIssuedBy(issuer, anchor))),
  };
}
