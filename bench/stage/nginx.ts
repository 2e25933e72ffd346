import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { BenchError } from "../errors.ts";

/** A running nginx, one worker. */
export interface Nginx {
  pid: number;
  /** Without a slash at the end. */
  origin: string;
  stop(): Promise<void>;
}

/** What the backend serves: body sizes in bytes. */
export const SMALL_BYTES = 60;
export const MIDDLE_BYTES = 10_000;
export const LARGE_BYTES = 100_000_000;
/** Instead of `/large` where many at once would take a quick run too long. */
export const PART_BYTES = 25_000_000;

/** Settings of a backend for one row. */
export interface BackendOptions {
  /** What the kernel may take of a response that nobody reads, bytes; its own choice by default. */
  sendBufferBytes?: number;
}

/** The backend: `/small`, `/middle`, `/large`, `/part`, and `/upload`, which reads all it is sent before it answers. */
export async function startBackend(
  folder: string,
  { sendBufferBytes }: BackendOptions = {},
): Promise<Nginx> {
  const root = join(folder, "files");
  await mkdir(root, { recursive: true });
  await writeFile(join(root, "middle"), "m".repeat(MIDDLE_BYTES));
  for (const [name, bytes] of [["large", LARGE_BYTES], ["part", PART_BYTES]] as const) {
    const file = await open(join(root, name), "w");
    await file.truncate(bytes);
    await file.close();
  }
  return start(folder, (port) => `
    root ${root};
    open_file_cache max=16;
    location = /small { return 200 "${"s".repeat(SMALL_BYTES - 1)}\\n"; }
    # Request buffering means that the whole body was read (and counted) before the inner request is made.
    location = /upload {
      client_body_buffer_size 1m;
      proxy_pass http://127.0.0.1:${port}/small;
      proxy_method GET;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      add_header X-Received $request_length always;
    }`, { socket: sendBufferBytes === undefined ? "" : `sndbuf=${sendBufferBytes}` });
}

/** The other yardstick: one nginx reverse-proxy hop in front of `backend`. */
export function startNginxHop(folder: string, backend: string): Promise<Nginx> {
  const upstream = `upstream backend { server ${
    new URL(backend).host
  }; keepalive 256; keepalive_requests 1000000000; }`;
  return start(folder, () => `
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }`, { http: upstream });
}

const TRIES = 5;

/** Further lines for `http`, and options of the listening socket. */
interface Extras {
  http?: string;
  socket?: string;
}

async function start(folder: string, server: (port: number) => string, extras: Extras): Promise<Nginx> {
  await mkdir(join(folder, "temp"), { recursive: true });
  for (let tries = 1;; tries++) {
    // nginx does not choose a port itself; another process may take this one first, hence the tries.
    const port = await freePort();
    const file = join(folder, "nginx.conf");
    await writeFile(file, configuration(folder, port, server(port), extras));
    const child = spawn("nginx", ["-p", folder, "-c", file, "-e", "stderr"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => said = (said + text).slice(-2_000));
    if (await listens(child, port)) return running(child, port);
    if (tries === TRIES) throw new BenchError(`Cannot start nginx: ${said}`);
  }
}

function running(child: ChildProcess, port: number): Nginx {
  const kill = () => child.kill("SIGTERM");
  process.on("exit", kill);
  return {
    pid: child.pid!,
    origin: `http://127.0.0.1:${port}`,
    async stop() {
      process.off("exit", kill);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      kill();
      await ended;
    },
  };
}

async function listens(child: ChildProcess, port: number): Promise<boolean> {
  for (let tries = 0; tries < 100 && child.exitCode === null; tries++) {
    const socket = connect(port, "127.0.0.1");
    const connected = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (connected) return child.exitCode === null;
    await delay(50);
  }
  child.kill("SIGKILL");
  return false;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

function configuration(
  folder: string,
  port: number,
  server: string,
  { http = "", socket = "" }: Extras,
): string {
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => {
    return `${name}_temp_path ${join(folder, "temp", name)};`;
  });
  return `
${process.getuid?.() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${join(folder, "nginx.pid")};
error_log stderr error;
events { worker_connections 8000; }
http {
  ${temp.join("\n  ")}
  access_log off;
  default_type text/plain;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 1h;
  keepalive_time 24h;
  keepalive_requests 1000000000;
  # A reader that takes 1 KB a second is no reason to hang up.
  send_timeout 1h;
  client_body_timeout 1h;
  client_max_body_size 0;
  ${http}
  server {
    listen 127.0.0.1:${port} backlog=4096 ${socket};
    ${server}
  }
}
`;
}
