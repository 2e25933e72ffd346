import type { SecureContext, SecureVersion } from "node:tls";
import type { Log } from "../../platform/log.ts";
import { canonicalAuthority } from "../canonical.ts";
import { CertificateError } from "./certificate_errors.ts";
import { type CertificatePair, readPair } from "./certificate_pair.ts";
import { type FileWatch, watchFiles } from "./file_watch.ts";

/** A pair of PEM files and the hosts that it is for: exact names, or `*.example.com` for one label more. */
export interface CertificateFiles {
  readonly hosts: readonly string[];
  readonly certFile: string;
  readonly keyFile: string;
}

/** Settings of {@linkcode createCertificates}; times in milliseconds. */
export interface CertificatesOptions {
  readonly files: readonly CertificateFiles[];
  /** Host (as it stands in `files` or is registered) whose certificate serves names that no other one matches. */
  readonly fallbackHost?: string;
  readonly minVersion?: SecureVersion;
  readonly log: Log;
  readonly debounceMs?: number;
  readonly pollMs?: number;
}

/** Public certificates by host. */
export interface Certificates extends Disposable {
  /**
   * The certificate for a name that a client asks for, whatever its case: exact before wildcard before the fallback.
   * Undefined when there is none: the handshake is then refused.
   */
  contextFor(serverName: string | undefined): SecureContext | undefined;
  /** PEM of the fallback, for clients that ask for no name. */
  readonly fallback: { readonly cert: string; readonly key: string } | undefined;
  /** Serves `host` with a context made elsewhere, before any file; returns the way to take it back. */
  register(host: string, context: SecureContext): () => void;
  /** Reads all files again now. A pair that cannot be read stays as it was, and is logged. */
  reload(): Promise<void>;
  /** Calls `listener` after at least one pair was replaced; returns the way to stop. */
  onChange(listener: () => void): () => void;
  /** Stops following the files. */
  close(): void;
}

/** Reads all pairs, and follows their files. Throws `CertificateError` when one cannot be used: the broker must not start. */
export async function createCertificates(options: CertificatesOptions): Promise<Certificates> {
  const { files, log, minVersion = "TLSv1.2", debounceMs = 200, pollMs = 60_000 } = options;
  const hosts = files.map((entry) => entry.hosts.map(canonicalPattern));
  const pairs: CertificatePair[] = await Promise.all(
    files.map(({ certFile, keyFile }) => readPair(certFile, keyFile, minVersion)),
  );
  const note = (index: number) => noteFaults(log, files[index]!.certFile, pairs[index]!, hosts[index]!);
  for (const index of pairs.keys()) note(index);
  const fallbackHost = options.fallbackHost === undefined
    ? undefined
    : canonicalPattern(options.fallbackHost);
  const registered = new Map<string, SecureContext>();
  const listeners = new Set<() => void>();
  /** Host pattern to number of its pair; the first entry that names a host has it. */
  const numbers = new Map<string, number>();
  for (const [index, names] of hosts.entries()) {
    for (const name of names) if (!numbers.has(name)) numbers.set(name, index);
  }
  const pairOf = (pattern: string) => pairs[numbers.get(pattern) ?? -1];
  const exactly = (pattern: string) => registered.get(pattern) ?? pairOf(pattern)?.context;

  let reloading: Promise<void> = Promise.resolve();
  const reloadNow = async () => {
    let replaced = false;
    for (const [index, { certFile, keyFile }] of files.entries()) {
      try {
        const fresh = await readPair(certFile, keyFile, minVersion);
        if (fresh.cert === pairs[index]!.cert && fresh.key === pairs[index]!.key) continue;
        pairs[index] = fresh;
        replaced = true;
        log.info("Certificate replaced", {
          certFile,
          fingerprint: fresh.fingerprint,
          notAfter: fresh.notAfter,
        });
        note(index);
      } catch (error) {
        if (!(error instanceof CertificateError)) throw error;
        log.error("Certificate not replaced", { code: error.code, error: error.message, ...error.details });
      }
    }
    if (replaced) { for (const listener of listeners) listener(); }
  };
  // One after another, so that an older reading never replaces a newer one.
  const reload = () => reloading = reloading.then(reloadNow);

  const watching: FileWatch | undefined = files.length === 0 ? undefined : watchFiles(
    files.flatMap(({ certFile, keyFile }) => [certFile, keyFile]),
    { debounceMs, pollMs },
    () => void reload(),
  );
  // What changed between the first reading and the watch.
  await reload();
  const close = () => {
    watching?.close();
    listeners.clear();
  };

  return {
    contextFor(serverName) {
      const fallback = fallbackHost === undefined ? undefined : exactly(fallbackHost);
      if (serverName === undefined) return fallback;
      const name = serverName.toLowerCase().replace(/\.$/, "");
      const dot = name.indexOf(".");
      return exactly(name) ?? (dot < 1 ? undefined : exactly(`*${name.slice(dot)}`)) ?? fallback;
    },
    get fallback() {
      return fallbackHost === undefined ? undefined : pairOf(fallbackHost);
    },
    register(host, context) {
      const name = canonicalPattern(host);
      registered.set(name, context);
      return () => {
        if (registered.get(name) === context) registered.delete(name);
      };
    },
    reload,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close,
    [Symbol.dispose]: close,
  };
}

/** What is no reason to refuse a pair, but will be one for browsers. */
function noteFaults(log: Log, certFile: string, pair: CertificatePair, hosts: readonly string[]): void {
  const { notAfter } = pair;
  if (notAfter.getTime() <= Date.now()) log.warn("Certificate has expired", { certFile, notAfter });
  for (const host of hosts) {
    if (!pair.covers(host)) log.warn("Certificate is not for this host", { certFile, host });
  }
}

/** A host or `*.host` as it is looked up. Throws `CertificateError` `public_certificate_host_invalid`. */
function canonicalPattern(pattern: string): string {
  const wildcard = pattern.startsWith("*.");
  const authority = canonicalAuthority(wildcard ? pattern.slice(2) : pattern);
  if (authority === undefined || authority.port !== undefined) {
    throw new CertificateError(
      "public_certificate_host_invalid",
      `Cannot use host pattern "${pattern}": not a host`,
      {
        details: { pattern },
      },
    );
  }
  return wildcard ? `*.${authority.host}` : authority.host;
}
