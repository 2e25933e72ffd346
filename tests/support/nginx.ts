import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownPort } from "./own_port.ts";

/** nginx on this machine; undefined where there is none. */
export const NGINX: string | undefined = ["/usr/sbin/nginx", "nginx"].find((path) =>
  spawnSync(path, ["-v"]).status === 0
);
/** Length of the file that is served as `/file`, bytes. */
export const FILE_BYTES = 5_000_000;
/** What is in it. */
export const FILE: Buffer = Buffer.alloc(FILE_BYTES, "abc");

/** An nginx of our own in a temporary folder, stopped at the end of the test; its port. */
export async function startNginx(t: { after(fn: () => Promise<void>): void }): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "sallyport-nginx-"));
  const own = await ownPort();
  const { port } = own;
  await writeFile(join(folder, "file"), FILE);
  await writeFile(join(folder, "nginx.conf"), configuration(folder, port));
  const child = spawn(NGINX!, ["-p", folder, "-e", "stderr", "-c", join(folder, "nginx.conf")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await exited;
    own[Symbol.dispose]();
    await rm(folder, { recursive: true, force: true });
  });
  // At this level nginx says so once it listens and its workers run.
  let said = "";
  for await (const bytes of child.stderr.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    said += bytes;
    if (said.includes("start worker process")) break;
  }
  child.stderr.resume();
  assert.match(said, /start worker process/);
  return port;
}

function configuration(folder: string, port: number): string {
  // Started as root, its workers would be another user, who cannot enter the temporary folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return `${user} daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr notice;
events { worker_connections 64; }
http {
  access_log off; client_max_body_size 1m;
  client_body_temp_path ${folder}/t1; proxy_temp_path ${folder}/t2; fastcgi_temp_path ${folder}/t3;
  uwsgi_temp_path ${folder}/t4; scgi_temp_path ${folder}/t5;
  gzip on; gzip_types *; gzip_min_length 1;
  server {
    listen 127.0.0.1:${port}; root ${folder};
    location /up/ { dav_methods PUT; create_full_put_path on; }
    location /cut { return 444; }
  }
}
`;
}
