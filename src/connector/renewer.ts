import { backoffMs } from "../platform/backoff.ts";
import { isIssuedBy, readCertificates, validity } from "../platform/certificate.ts";
import type { Log } from "../platform/log.ts";
import { unlessAborted } from "../platform/unless_aborted.ts";
import { RenewalError } from "./identity/errors.ts";
import type { Identity } from "./identity/identity.ts";
import { type RenewalStep, renewIdentity } from "./identity/renewal.ts";
import { resumeRenewal } from "./identity/renewal_files.ts";
import type { Supervisor } from "./supervisor.ts";
import type { DialTarget } from "./tunnel_socket.ts";

/** What renewals need of the running connector. */
export interface RenewerOptions {
  stateDir: string;
  identity: () => Identity;
  /** The identity that is in use from now on. */
  use: (next: Identity) => void;
  targetOf: (identity: Identity) => DialTarget;
  supervisors: readonly Supervisor[];
  log: Log;
  now?: () => number;
  random?: () => number;
  onStep?: (step: RenewalStep) => void | Promise<void>;
}

/** What `status` shows of renewals. */
export interface RenewalFacts {
  /** When the next attempt is due, ISO 8601. */
  renewalDueAt: string;
  /** Attempts that failed since the last success. */
  renewalFailures: number;
  /** Why the last of them failed. */
  renewalError: string | null;
}

/** A certificate is renewed after this share of its life, give or take `JITTER` of its life. */
const SHARE = 2 / 3;
const JITTER = 0.05;
/** The clock of the host is looked at again at least so often. */
const LONGEST_WAIT_MS = 3_600_000;

/** Renews the certificate when it is due, and moves every tunnel to the new one; goes on trying while the old one lasts. */
export class Renewer {
  readonly #options: RenewerOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  #failures = 0;
  #lastError: Error | null = null;
  #dueAt = 0;
  /** The certificate that `#dueAt` is of. */
  #certificate = "";
  /** The trust anchors that were looked at for it. */
  #ca = "";
  #notBefore = 0;
  /** Ends the wait for the next attempt. */
  #wake: () => void = () => {};
  /** Something was told while an attempt was under way, which may have been too far to see it. */
  #hasNews = false;

  constructor(options: RenewerOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
  }

  get facts(): RenewalFacts {
    this.#plan();
    return {
      renewalDueAt: new Date(this.#dueAt).toISOString(),
      renewalFailures: this.#failures,
      renewalError: this.#lastError?.message ?? null,
    };
  }

  /** Something is other than before: a tunnel is up, or the trust anchors have changed. */
  look(): void {
    this.#hasNews = true;
    this.#wake();
  }

  /** Runs until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { stateDir, identity, log } = this.#options;
    const isBegun = await resumeRenewal(stateDir, identity()).catch((error: Error) => {
      log.warn("cannot tidy up after a renewal", { error: error.message });
      return false;
    });
    if (isBegun) this.#dueNow();
    while (!signal.aborted) {
      // Renewal needs a tunnel; while there is none, the supervisors say why.
      await this.#pause(this.#lead() === undefined ? LONGEST_WAIT_MS : this.#waitMs(), signal);
      if (!signal.aborted && this.#lead() !== undefined) await this.#turn(signal);
    }
  }

  /** Waits so long, or until there is something to look at. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => wake(), ms);
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  }

  /** Who asks for the certificate: after each failure another one, which may have another way to the broker. */
  #lead(): Supervisor | undefined {
    const up = this.#options.supervisors.filter(({ tunnel }) => tunnel !== null);
    return up[this.#failures % up.length];
  }

  /** What is due now: a renewal, or tunnels that still use the certificate before. */
  async #turn(signal: AbortSignal): Promise<void> {
    const { log } = this.#options;
    this.#hasNews = false;
    try {
      this.#plan();
      if (this.#now() >= this.#dueAt) await this.#renew(signal);
      await this.#moveTunnels(signal);
      this.#failures = 0;
      this.#lastError = null;
    } catch (error) {
      if (signal.aborted) return;
      this.#failures += 1;
      this.#lastError = error as Error;
      const { notAfter } = this.#options.identity();
      log[this.#now() < notAfter ? "warn" : "error"]("certificate not renewed", {
        error: this.#lastError.message,
        code: (error as { code?: string }).code ?? "error",
        attempts: this.#failures,
        notAfter: new Date(notAfter).toISOString(),
      });
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { stateDir, identity, use, targetOf, log, onStep } = this.#options;
    const lead = this.#lead();
    if (lead === undefined) throw noTunnel();
    // The switch on disk happens while the second tunnel waits to take the first one's place.
    let switched: () => void = () => {};
    let notSwitched: (error: Error) => void = () => {};
    const onDisk = new Promise<void>((resolve, reject) => [switched, notSwitched] = [resolve, reject]);
    onDisk.catch(() => {});
    let moving: Promise<void> = Promise.resolve();
    try {
      const next = await renewIdentity({
        stateDir,
        identity: identity(),
        // The same key is asked with again.
        ask: (csr) =>
          lead.tunnel === null ? Promise.reject(noTunnel()) : unlessAborted(signal, lead.tunnel.renew(csr)),
        prove: (candidate) =>
          new Promise((proven, refused) => {
            moving = lead.replace(targetOf(candidate), signal, () => {
              proven();
              return onDisk;
            });
            moving.catch(refused);
          }),
        untidy: (error) => log.warn("cannot tidy up after a renewal", { error: error.message }),
        now: this.#now,
        ...(onStep === undefined ? {} : { onStep }),
      });
      use(next);
      this.#plan();
      switched();
      log.info("certificate renewed", { notAfter: new Date(next.notAfter).toISOString() });
    } catch (error) {
      notSwitched(error as Error);
      throw error;
    } finally {
      await moving.catch(() => {});
    }
  }

  /** Every tunnel that was dialled with another certificate than the one in use is dialled anew. Throws the first failure. */
  async #moveTunnels(signal: AbortSignal): Promise<void> {
    const { supervisors, identity, targetOf } = this.#options;
    const failures: unknown[] = [];
    for (const supervisor of supervisors) {
      const { certificate } = supervisor;
      if (certificate === null || certificate === identity().certificate || signal.aborted) continue;
      await supervisor.replace(targetOf(identity()), signal).catch((error) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  }

  #waitMs(): number {
    this.#plan();
    const { notAfter } = this.#options.identity();
    if (this.#failures === 0) {
      return this.#hasNews ? 0 : Math.min(Math.max(this.#dueAt - this.#now(), 0), LONGEST_WAIT_MS);
    }
    const life = notAfter - this.#notBefore;
    // At once would be without end: an attempt that fails may have made the news itself.
    return backoffMs(this.#hasNews ? 0 : this.#failures - 1, {
      firstMs: between(250, life / 1_000, 5_000),
      capMs: between(1_000, life / 50, LONGEST_WAIT_MS),
    }, this.#random);
  }

  /**
   * Chooses when the certificate in use is to be renewed, once for each; soon where the broker has changed to another
   * root since, which it names first.
   */
  #plan(): void {
    const { certificate, notAfter, ca } = this.#options.identity();
    if (certificate !== this.#certificate) {
      this.#certificate = certificate;
      this.#ca = "";
      this.#notBefore = validity(readCertificates(certificate)[0]).notBefore;
      const share = SHARE + (2 * this.#random() - 1) * JITTER;
      this.#dueAt = this.#notBefore + (notAfter - this.#notBefore) * share;
    }
    if (ca === this.#ca) return;
    this.#ca = ca;
    if (isIssuedBy(readCertificates(certificate).at(-1)!, readCertificates(ca)[0])) return;
    const withinMs = Math.min((notAfter - this.#notBefore) / 100, LONGEST_WAIT_MS);
    this.#dueAt = Math.min(this.#dueAt, this.#now() + withinMs * this.#random());
  }

  #dueNow(): void {
    this.#plan();
    this.#dueAt = Math.min(this.#dueAt, this.#now());
  }
}

function noTunnel(): RenewalError {
  return new RenewalError("renewal_no_tunnel", "Cannot renew the certificate: no tunnel is up");
}

function between(least: number, value: number, most: number): number {
  return Math.min(Math.max(least, value), most);
}
