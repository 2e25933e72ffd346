import { hostname } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "../platform/backoff.ts";
import type { Log } from "../platform/log.ts";
import type { Secret } from "../platform/secret.ts";
import { VERSION } from "../platform/version.ts";
import type { ConnectorConfiguration } from "./config.ts";
import { RegistrationError, StateError } from "./identity/errors.ts";
import { isRegistered } from "./identity/identity.ts";
import type { ProxyFor } from "./outbound/proxy.ts";
import { register } from "./identity/register.ts";

const STEP_MS = 10_000;
const FIRST_MS = 1_000;
const CAP_MS = 60_000;

/**
 * Registers a host that is not registered yet, as a golden image is when it first starts; does nothing on others. While
 * the network or the broker is not there, goes on trying. Resolves to false where the signal ended that. Throws
 * `state_not_registered` where `token` gives none, and what `register` throws where trying again cannot help.
 */
export async function ensureRegistered(
  config: ConnectorConfiguration,
  { token, log, signal, proxyFor }: {
    token: () => Promise<Secret | null>;
    log: Log;
    signal: AbortSignal;
    proxyFor?: ProxyFor;
  },
): Promise<boolean> {
  const { stateDir, machineName, caFingerprint, keyType } = config;
  if (await isRegistered(stateDir)) return true;
  const secret = await token().catch((error) => {
    if (signal.aborted) return undefined;
    throw error;
  });
  if (secret === undefined) return false;
  if (secret === null) {
    throw new StateError(
      "state_not_registered",
      `Cannot run: this host is not registered ("${stateDir}" holds no identity). Get a token from an administrator ` +
        "(sallyport-broker token create), then run: sallyport-connector register --token-file FILE; or give the token " +
        "to this program in tokenFile, SALLYPORT_TOKEN_FILE or SALLYPORT_TOKEN, and it registers by itself",
    );
  }
  for (let attempt = 0;; attempt++) {
    try {
      const { connectorId } = await register({
        stateDir,
        token: secret,
        machineName: machineName || hostname(),
        os: `${process.platform} ${process.arch}`,
        version: VERSION,
        log,
        keyType,
        stepMs: STEP_MS,
        signal,
        proxyFor,
        ...(caFingerprint === "" ? {} : { caFingerprint }),
      });
      log.info("registered this host", { connector: connectorId });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (!(error instanceof RegistrationError) || !error.retryable) throw error;
      log.warn("not registered yet", { code: error.code, error: error.message });
      const waitMs = Math.max(FIRST_MS, backoffMs(attempt, { firstMs: FIRST_MS * 2, capMs: CAP_MS }));
      await delay(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) return false;
    }
  }
}
