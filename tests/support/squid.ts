import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ownPort } from "./own_port.ts";

/** A proxy that runs for a test. */
export interface Squid extends AsyncDisposable {
  port: number;
  /** Its access log so far. */
  log(): Promise<string>;
}

/** The one account that a proxy with `auth` knows. */
export const SQUID_USER = { name: "connector", password: "p:ss word" };

/** What a test wants of it. */
export interface SquidOptions {
  /** Asks for Basic authentication. */
  auth?: boolean;
  /** Refuses every connection to this port. */
  deny?: number;
}

/** Starts Debian's squid on a free port of the loopback, and waits until it answers. */
export async function startSquid(
  program: string,
  options: SquidOptions = {},
): Promise<Squid> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-squid-"));
  await chmod(folder, 0o777); // As root it becomes "proxy".
  const own = await ownPort();
  const { port } = own;
  const access = join(folder, "access.log");
  const helper = join(folder, "helper.sh");
  // Squid's protocol of helpers: a line "user password" with percent-encoding is answered with OK or ERR.
  const [plain, encoded] = [SQUID_USER.password.replace(" ", "%20"), encodeURIComponent(SQUID_USER.password)]
    .map((password) => `"${SQUID_USER.name} ${password}"`);
  const script =
    `#!/bin/sh\nwhile read -r l; do case "$l" in ${plain}|${encoded}) echo OK;; *) echo ERR;; esac; done\n`;
  await writeFile(helper, script);
  await chmod(helper, 0o755);
  const auth = [
    `auth_param basic program ${helper}`,
    "auth_param basic children 1 startup=1",
    "auth_param basic realm test",
    "acl known proxy_auth REQUIRED",
    "http_access deny !known",
  ];
  const file = join(folder, "squid.conf");
  await writeFile(
    file,
    [
      `http_port 127.0.0.1:${port}`,
      "acl loop dst 127.0.0.0/8",
      ...(options.deny === undefined ? [] : [`acl denied port ${options.deny}`, "http_access deny denied"]),
      ...(options.auth === true ? auth : []),
      "http_access allow loop",
      "http_access deny all",
      "cache deny all",
      "cache_mem 1 MB",
      "shutdown_lifetime 0 seconds",
      "visible_hostname squid.test",
      "pinger_enable off",
      "netdb_filename none",
      "max_filedescriptors 1024",
      `access_log stdio:${access}`,
      `cache_log ${join(folder, "cache.log")}`,
      `pid_filename ${join(folder, "squid.pid")}`,
      `coredump_dir ${folder}`,
    ].join("\n") + "\n",
  );
  const child = spawn(program, ["-N", "-f", file], { stdio: "ignore" });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
    own[Symbol.dispose]();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await answers(port, child);
  } catch (error) {
    const log = await readFile(join(folder, "cache.log"), "utf8").catch(() => "");
    await stop();
    throw new Error(`squid does not start: ${log}`, { cause: error });
  }
  return {
    port,
    log: () => readFile(access, "utf8"),
    [Symbol.asyncDispose]: stop,
  };
}

async function answers(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if (child.exitCode !== null) throw new Error(`exit code ${child.exitCode}`);
    const socket = connect({ host: "127.0.0.1", port });
    const isUp = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false);
    socket.on("error", () => {}).destroy();
    if (isUp) return;
    await delay(50);
  }
  throw new Error("no answer within 30 s");
}
