/** First descriptor that a service manager hands over (sd_listen_fds(3)). */
const FIRST_DESCRIPTOR = 3;

/**
 * Listening sockets that this process was started with, by name, as systemd hands them over: `LISTEN_FDS` of them from
 * descriptor 3 on, named by `LISTEN_FDNAMES` (`FileDescriptorName=` of the socket unit), for the process `LISTEN_PID`.
 * Since the socket is the service manager's, connections that come while no broker runs wait in it and are not refused.
 */
export function inheritedSockets(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): ReadonlyMap<string, number> {
  const sockets = new Map<string, number>();
  const count = Number(env.LISTEN_FDS ?? "0");
  if (!Number.isSafeInteger(count) || count < 1 || Number(env.LISTEN_PID) !== pid) return sockets;
  const names = (env.LISTEN_FDNAMES ?? "").split(":");
  for (let i = 0; i < count; i++) {
    const name = names[i];
    if (name !== undefined && name !== "") sockets.set(name, FIRST_DESCRIPTOR + i);
  }
  return sockets;
}
