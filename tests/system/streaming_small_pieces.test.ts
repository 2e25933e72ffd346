/** Uploads in pieces of one byte: what they cost in memory while the backend stalls, and that they arrive. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { backendApp, exchange, testBackends } from "../support/backend_exchange.ts";
import { listen } from "../support/raw_backend.ts";
import { stalled } from "../support/stalled.ts";
import { until } from "../support/until.ts";

const UPLOADS = 8;
/** What a first credit lets an upload hold beyond what kernel buffers take. */
const HELD_BYTES = 60_000;
const FILLER = Buffer.alloc(64 * 1024, "f");

for (const [name, extra] of [["undici", []], ["node:http", ["Keep-Alive", "x"]]] as [string, string[]][]) {
  test(
    `${name}: ${UPLOADS} stalled uploads in pieces of one byte cost little more than their bytes, and arrive`,
    {
      skip: "Deno" in globalThis && "Deno has no heap that can be measured and collected at will",
    },
    async (t) => {
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      const sockets: Socket[] = [];
      const requests: IncomingMessage[] = [];
      let received = 0;
      const server = createServer((req, res) => {
        requests.push(req);
        req.on("end", () => res.end("done"));
      });
      server.on("connection", (socket) => sockets.push(socket));
      const port = await listen(t, server, sockets);
      const backends = testBackends(t);
      let sent = 0;
      const uploads = Array.from({ length: UPLOADS }, () => {
        const upload = exchange(backends, backendApp(`http://127.0.0.1:${port}`), {
          method: "POST",
          headers: ["Host", "a", "Content-Length", String(64 * 1024 * 1024), ...extra],
          hasBody: true,
        });
        // Fills the kernel's buffers, so that what follows stays with us.
        let filled = 0;
        upload.onDrained = () => {
          while (filled < 32 * 1024 * 1024) {
            filled += FILLER.length;
            sent += FILLER.length;
            if (!upload.exchange.write(FILLER)) return;
          }
        };
        upload.onDrained();
        return upload;
      });
      await stalled(() => sent, () => new Promise((resolve) => setTimeout(resolve, 20)));
      assert.equal(requests.length, UPLOADS);
      collect();
      const before = process.memoryUsage();
      const letters = Buffer.from("abcdefghijklmnopqrstuvwxyz");
      for (const upload of uploads) {
        upload.onDrained = () => {};
        for (let i = 0; i < HELD_BYTES; i++) upload.exchange.write(letters.subarray(i % 26, i % 26 + 1));
      }
      collect();
      const after = process.memoryUsage();
      const cost = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
      assert.ok(cost < 8 * UPLOADS * HELD_BYTES, `${cost} bytes for ${UPLOADS * HELD_BYTES}`);

      for (const req of requests) req.on("data", (bytes: Uint8Array) => received += bytes.length);
      const total = sent + UPLOADS * HELD_BYTES;
      await until("all has come", () => received >= total);
      for (const upload of uploads) upload.exchange.abort();
      assert.equal(received, total);
    },
  );
}
