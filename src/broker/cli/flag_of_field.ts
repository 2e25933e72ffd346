/** Fields of the admin API whose flag is not their name. */
const FLAGS: Readonly<Record<string, string>> = {
  "groupId": "--group",
  "connectorId": "--connector",
  "maxUses": "--uses",
  "ttlSeconds": "--ttl",
  "networks": "--network",
  "externalUrls": "--external-url",
  "timeouts.connectMs": "--connect-timeout-ms",
  "timeouts.responseHeadMs": "--response-timeout-ms",
  "timeouts.idleMs": "--idle-timeout-ms",
  "timeouts.totalMs": "--total-timeout-ms",
  "timeouts.upgradedIdleMs": "--upgraded-idle-timeout-ms",
  "backendTls.ca": "--backend-ca",
  "backendTls.serverName": "--backend-name",
  "backendTls.minVersion": "--backend-tls-min",
  "backendTls.clientCertificate": "--backend-client-certificate",
  "requestHeaders": "--request-header",
  "responseHeaders": "--response-header",
  "maintenance.message": "--maintenance",
  "maintenance.retryAfterS": "--maintenance-retry-s",
  "cookies.secure": "--cookie-secure",
  "cookies.httpOnly": "--cookie-http-only",
  "cookies.sameSite": "--cookie-same-site",
  "healthCheck.type": "--health-check",
  "healthCheck.path": "--health-check",
  "healthCheck.intervalMs": "--health-interval-ms",
  "healthCheck.timeoutMs": "--health-timeout-ms",
  "healthCheck.healthyAfter": "--healthy-after",
  "healthCheck.unhealthyAfter": "--unhealthy-after",
};

/** The flag of `known` that a field of a request, e.g. `timeouts.idleMs`, was made from; null where there is none. */
export function flagOfField(field: string, known: ReadonlySet<string>): string | null {
  const parts = field.split(".");
  for (let length = parts.length; length > 0; length--) {
    const name = parts.slice(0, length).join(".");
    const flag = FLAGS[name] ?? `--${name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`;
    if (known.has(flag)) return flag;
  }
  return null;
}
