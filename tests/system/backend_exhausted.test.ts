/** A host without descriptors: each way to a backend says that it is the host's fault, and works again when there are some. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Child } from "../../src/demo/child.ts";
import { TestAuthority } from "../support/backend_certificates.ts";
import { Http2Backend } from "../support/http2_backend.ts";
import { answerOk, rawBackend } from "../support/raw_backend.ts";

const PROGRAM = fileURLToPath(new URL("../support/programs/exhausted_backends.ts", import.meta.url));

test(
  "without a descriptor left every way to a backend ends with connector_exhausted, and none when there are some again",
  {
    skip: process.platform === "win32" ? "there is no limit of descriptors" : false,
  },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-exhausted-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const identity = await (await TestAuthority.create()).server("backend.test");
    const files = { cert: join(folder, "own.pem"), key: join(folder, "own.key") };
    await writeFile(files.cert, identity.cert);
    await writeFile(files.key, identity.key);
    const broken = new Set<Socket>();
    // Also a proxy: what it is asked to connect to is itself.
    const http = await rawBackend(t, ({ socket, head }) => {
      if (head.startsWith("CONNECT")) return void socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const isUsed = broken.has(socket);
      broken.add(socket);
      if (head.startsWith("GET /break ") && isUsed) return void socket.destroy();
      socket.write(answerOk("ok"));
    });
    await using h2 = await Http2Backend.start();
    const tls = createTlsServer(identity, (_req, res) => void res.end("ok")).listen(0, "127.0.0.1");
    await once(tls, "listening");
    t.after(() => {
      tls.closeAllConnections();
      tls.close();
    });
    const env = {
      BACKENDS: JSON.stringify({
        http: http.origin,
        h2: h2.origin,
        tls: `https://127.0.0.1:${(tls.address() as AddressInfo).port}`,
        ...files,
      }),
    };
    const child = await Child.start({
      name: "backends",
      command: "sh",
      args: ["-c", 'ulimit -n 100; exec "$@"', "sh", process.execPath, PROGRAM],
      env,
    });
    t.after(() => child.stop(0));
    const { without, again } = await child.ready(60_000) as Record<string, Record<string, string>>;
    for (const [way, outcome] of Object.entries(without!)) {
      const begun = way.startsWith("a used connection");
      const expected = way === "a check" ? "connector_exhausted" : `connector_exhausted, begun ${begun}`;
      assert.equal(outcome, expected, way);
      assert.equal(again![way], "200", way);
    }
    assert.equal(Object.keys(without!).length, 12);
  },
);
