/** What to do about the codes that are met most; the first that the code begins with counts. */
const CURES: readonly [string, string][] = [
  ["state_not_registered", "register this host: sallyport-connector register --token-file FILE"],
  ["state_permissions", "run the command that the message names"],
  ["state_unwritable", "let the connector's user write in the state folder; make room on its disk"],
  ["state_unreadable", "run this as the connector's user; check owner and mode of the state folder"],
  ["state_", "register again with --force"],
  ["certificate_expired", "start the connector: it comes back by itself; else register again with --force"],
  ["certificate_", "register again with a token of token create --connector ID"],
  ["clock_wrong", "set this host's clock (NTP)"],
  ["allow_list_invalid", 'correct the pattern in "allow", e.g. 10.0.0.0/8:443'],
  ["disk_full", "make room on the disk of the state folder: a renewal could not be written"],
  ["proxy_auth_required", "give user:password in proxyCredentialsFile or SALLYPORT_PROXY_CREDENTIALS"],
  ["proxy_refused", "let the proxy permit CONNECT to the broker's address and port"],
  ["proxy_target_unreachable", "let the proxy's host reach the broker; start the broker"],
  ["proxy_untrusted", "give the authority of the proxy's certificate in proxyCaFile"],
  ["proxy_", "check host and port of the proxy, or set proxy to none"],
  ["tls_intercepted", "exempt the broker's address and names from TLS inspection"],
  ["broker_unresolvable", "correct this host's DNS, or the broker's publicAddress"],
  [
    "broker_unreachable",
    "let this host reach the broker's port through the firewall, or set a proxy; start the broker",
  ],
  ["broker_timeout", "look for a firewall that drops packets to the broker's port"],
  ["broker_", "check what stands between this host and the broker"],
  ["tunnel_refused", "see the message; enable the connector at the broker, or register again"],
  ["backend_not_allowed", "add the address to allow on this host, if it is meant"],
  ["backend_dns_failed", "correct the app's internal URL, or this host's DNS"],
  ["backend_refused", "start the backend; check the port in the app's internal URL"],
  ["backend_unreachable", "let this host reach the backend through routes and firewalls"],
  ["backend_connect_timeout", "look for a firewall that drops packets to the backend"],
  ["backend_tls_untrusted", "give the app the authority of the backend's certificate"],
  ["backend_tls_name_mismatch", "correct the internal URL, or give the app the name in the certificate"],
  ["backend_tls_expired", "renew the backend's certificate; check the clocks"],
  ["backend_tls_", "see the message; check that the backend speaks TLS at this port"],
  ["backend_", "look at the backend and its log"],
];

/** What a person can do about a failure with this code. */
export function cureFor(code: string): string {
  return CURES.find(([prefix]) => code.startsWith(prefix))?.[1] ?? `see "${code}" in docs/errors.md`;
}
