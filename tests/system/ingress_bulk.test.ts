/** Bodies of any size in little memory, through broker and connector. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { Readable, Writable } from "node:stream";
import { connectorRuntime } from "../support/connector_runtime.ts";
import { ingressStage } from "../support/ingress_stage.ts";

const HOST = "bulk.example.test";
const MIB = 1024 * 1024;
/** A length that is prime to everything on the way: a piece lost, doubled or out of order shows. */
const PATTERN = Buffer.from(Uint8Array.from({ length: 65_521 }, (_, i) => (i * 31 + (i >> 7)) & 255));
const BLOCK = Buffer.concat(Array.from({ length: 16 }, () => PATTERN));

/** Writes `total` bytes of the pattern. */
async function produce(to: Writable, total: number): Promise<void> {
  for (let sent = 0; sent < total;) {
    const piece = BLOCK.subarray(0, Math.min(BLOCK.length, total - sent));
    sent += piece.length;
    if (!to.write(piece)) await once(to, "drain");
  }
  to.end();
}

/** Reads to the end and checks every byte; gives how many there were. */
async function consume(from: Readable): Promise<number> {
  let got = 0;
  let fault = -1;
  from.on("data", (bytes: Buffer) => {
    for (let at = 0; at < bytes.length;) {
      const offset = (got + at) % PATTERN.length;
      const length = Math.min(bytes.length - at, BLOCK.length - offset);
      if (fault < 0 && !bytes.subarray(at, at + length).equals(BLOCK.subarray(offset, offset + length))) {
        fault = got + at;
      }
      at += length;
    }
    got += bytes.length;
  });
  await once(from, "end");
  assert.equal(fault, -1, "first wrong byte");
  return got;
}

async function rssOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

test("2 GiB up and 2 GiB down at once: every byte arrives, each process, once warm, grows under 64 MiB (connectors on Deno: 256)", async (t) => {
  await using stage = await ingressStage();
  const total = Number(process.env.SALLYPORT_TEST_BULK_MIB ?? 2048) * MIB;
  let uploaded = Promise.resolve(0);
  const backend = createServer((req, res) => {
    if (req.method === "GET") return void produce(res, Number(req.headers["x-total"]));
    uploaded = consume(req);
    uploaded.then((bytes) => res.end(String(bytes)));
  });
  backend.listen(0, "127.0.0.1");
  await once(backend, "listening");
  await stage.publish(
    "bulk",
    `http://${HOST}`,
    `http://127.0.0.1:${(backend.address() as AddressInfo).port}`,
  );

  const options = { host: "127.0.0.1", port: stage.plainPort, agent: false };
  const download = async (bytes: number): Promise<number> => {
    const asked = request({ ...options, headers: { host: HOST, "x-total": bytes } }).end();
    const [response] = await once(asked, "response");
    return await consume(response);
  };
  const upload = async (bytes: number): Promise<number> => {
    const asked = request({ ...options, method: "POST", headers: { host: HOST, "content-length": bytes } });
    const answered = once(asked, "response");
    await produce(asked, bytes);
    const [response] = await answered;
    let text = "";
    for await (const piece of response) text += piece;
    return Number(text);
  };

  const pids = [stage.broker.child.pid, stage.connector.child.pid];
  // The first bulk of a process's life lets the young generation of its heap grow to its size, which stays.
  await Promise.all([download(256 * MIB), upload(256 * MIB)]);
  const base = await Promise.all(pids.map(rssOf));
  let most = [0, 0];
  const watch = setInterval(async () => {
    const now = await Promise.all(pids.map(rssOf));
    most = most.map((before, i) => Math.max(before, now[i]! - base[i]!));
  }, 100);
  try {
    assert.deepEqual(await Promise.all([download(total), upload(total)]), [total, total]);
  } finally {
    clearInterval(watch);
    backend.closeAllConnections();
    backend.close();
  }
  const [broker = 0, connector = 0] = most.map((bytes) => Math.round(bytes / MIB));
  t.diagnostic(`MiB more: broker ${broker}, connector ${connector}`);
  // Deno collects later, the later the busier the machine is.
  const bound = connectorRuntime() === "deno" ? 256 : 64;
  assert.ok(broker < 64 && connector < bound, `MiB more: broker ${broker}, connector ${connector}`);
});
