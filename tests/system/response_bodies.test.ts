/** Bodies that are changed on their way: streaming, back-pressure, memory, compression, and what goes wrong. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { get as httpsGet } from "node:https";
import { after, before, test } from "node:test";
import * as zlib from "node:zlib";
import { type HttpBackend, httpBackend } from "../support/http_backend.ts";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { peakRssBytes, resetPeakRss } from "../support/process_memory.ts";

let stage: IngressStage;
let backend: HttpBackend;

const HOST = "app.example.test";
const MIB = 1024 * 1024;

before(async () => {
  backend = await httpBackend();
  stage = await ingressStage();
  const internal = `${backend.origin}/in`;
  await stage.publish("links", `https://${HOST}/links`, internal, { translateLinks: true });
  await stage.publish("small", `https://${HOST}/small`, internal, { compression: true });
  await stage.publish("both", `https://${HOST}/both`, internal, { compression: true, translateLinks: true });
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

/** Resolves with the head; the body is the caller's. */
function ask(path: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: "127.0.0.1", port: stage.plainPort, path, agent: false, headers: { host: HOST, ...headers } },
      resolve,
    );
    sent.on("error", reject);
    sent.end();
  });
}

async function whole(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Writes the piece again and again, as fast as it is taken. */
async function writeMany(res: NodeJS.WritableStream, piece: Buffer, count: number): Promise<void> {
  for (let i = 0; i < count; i++) if (!res.write(piece)) await once(res, "drain");
  res.end();
}

const ROW =
  '<p class="row">Some text of a row, <a href="/in/x">and a link</a>, and more text to fill it up.</p>\r\n';

test("a page of 50 MB is translated in bounded memory, compressed or not", async () => {
  const piece = Buffer.from(ROW.repeat(160));
  const count = Math.ceil(50 * 1_000_000 / piece.length);
  for (const coding of [undefined, "gzip"]) {
    backend.routes.set("/in/big", (_req, res) => {
      res.setHeader("content-type", "text/html");
      if (coding === undefined) return void writeMany(res, piece, count);
      res.setHeader("content-encoding", coding);
      const gzip = zlib.createGzip({ level: 1 });
      gzip.pipe(res);
      void writeMany(gzip, piece, count);
    });
    const before = resetPeakRss(stage.broker.child.pid);
    const response = await ask("/links/big");
    const body = coding === undefined ? response : response.pipe(zlib.createGunzip());
    const unit = Buffer.from(ROW.replace("/in/", "/links/"));
    let at = 0;
    for await (const bytes of body as AsyncIterable<Buffer>) {
      for (let i = 0; i < bytes.length;) {
        const from = at % unit.length;
        const length = Math.min(unit.length - from, bytes.length - i);
        assert.ok(unit.subarray(from, from + length).equals(bytes.subarray(i, i + length)), `at ${at}`);
        i += length;
        at += length;
      }
    }
    assert.equal(at, unit.length * 160 * count);
    const grown = peakRssBytes(stage.broker.child.pid) - before;
    assert.ok(grown < 100 * MIB, `${coding}: ${Math.round(grown / MIB)} MiB`);
  }
  await stage.lanesIdle();
});

test(
  "pages that come faster than HTTPS takes them go on, several at a time",
  { timeout: 60_000 },
  async () => {
    const page = Buffer.from(ROW.repeat(30_000));
    backend.routes.set("/in/quick", (_req, res) => {
      res.setHeader("content-type", "text/html");
      void writeMany(res, page.subarray(0, page.length / 15), 15);
    });
    const options = { host: "127.0.0.1", port: stage.tlsPort, servername: HOST, ca: stage.ca, agent: false };
    const one = () =>
      new Promise<IncomingMessage>((resolve, reject) => {
        const headers = { host: HOST };
        httpsGet({ ...options, path: "/links/quick", headers }, resolve).on("error", reject);
      });
    const translated = page.length + 30_000 * ("/links/".length - "/in/".length);
    await Promise.all(Array.from({ length: 6 }, async () => {
      assert.equal((await whole(await one())).length, translated);
    }));
  },
);

test("a reader who stops holds back the backend, and a body that unfolds to 2 GB does no harm", async () => {
  // 2 GB of spaces in 2 MB of gzip, as members of 16 MiB each.
  const member = zlib.gzipSync(Buffer.alloc(16 * MIB, 0x20));
  backend.routes.set("/in/bomb", (_req, res) => {
    res.writeHead(200, { "content-type": "text/html", "content-encoding": "gzip" });
    for (let i = 0; i < 128; i++) res.write(member);
    res.end();
  });
  const before = resetPeakRss(stage.broker.child.pid);
  const response = await ask("/links/bomb");
  const unfolded = response.pipe(zlib.createGunzip());
  let seen = 0;
  await new Promise<void>((resolve) => {
    unfolded.on("data", (bytes: Buffer) => {
      seen += bytes.length;
      if (seen < 16 * MIB) return;
      unfolded.pause();
      resolve();
    });
  });
  for (let i = 0; i < 100; i++) {
    const other = await ask("/links/nothing");
    assert.equal((await whole(other)).toString(), "nothing here");
  }
  response.destroy();
  unfolded.destroy();
  const grown = peakRssBytes(stage.broker.child.pid) - before;
  assert.ok(grown < 100 * MIB, `${Math.round(grown / MIB)} MiB`);
  await stage.lanesIdle();
});

test("back-pressure reaches the backend through the filters", async () => {
  // What no filter can shrink, so that it fills every buffer on the way.
  const noise = Buffer.from(Array.from({ length: 64 * 1024 }, () => 0x61 + Math.floor(Math.random() * 26)));
  let written = 0;
  let stopped = (_: unknown) => {};
  const stalled = new Promise((resolve) => stopped = resolve);
  backend.routes.set("/in/endless", (_req, res: ServerResponse) => {
    res.writeHead(200, { "content-type": "text/html" });
    let lastSeen = -1;
    const write = () => {
      while (!res.destroyed && res.write(noise)) written += noise.length;
      written += noise.length;
    };
    res.on("drain", write);
    write();
    // Held back for good once nothing has moved between two looks.
    const look = setInterval(() => {
      if (written === lastSeen) stopped(undefined);
      lastSeen = written;
    }, 400);
    res.on("close", () => clearInterval(look));
  });
  const response = await ask("/both/endless", { "accept-encoding": "gzip" });
  assert.equal(response.headers["content-encoding"], "gzip");
  response.pause();
  await stalled;
  assert.ok(written < 64 * MIB, `${written / MIB} MiB`);
  response.destroy();
  await stage.lanesIdle();
});

test("a translated page comes piece by piece, also where it is compressed", async () => {
  const pieces = ["<p>one", ' <a href="/in/2">', "three</a> ", "<b>four</b>"];
  for (const [path, headers] of [["/links/", {}], ["/both/", { "accept-encoding": "br" }]] as const) {
    let send = (_: string) => {};
    let end = () => {};
    backend.routes.set("/in/steps", (_req, res) => {
      res.writeHead(200, { "content-type": "text/html" });
      send = (text) => void res.write(text);
      end = () => void res.end();
      send(pieces[0]!);
    });
    const response = await ask(`${path}steps`, headers);
    const body = path === "/both/" ? response.pipe(zlib.createBrotliDecompress()) : response;
    let seen = "";
    let next = 1;
    const prefix = path.slice(0, -1);
    for await (const bytes of body as AsyncIterable<Buffer>) {
      seen += bytes.toString();
      // The backend sends the next one only when the user has seen all of those before.
      if (seen !== pieces.slice(0, next).join("").replace("/in/", `${prefix}/`)) continue;
      if (next < pieces.length) send(pieces[next++]!);
      else end();
    }
    assert.equal(next, pieces.length);
  }
});

test("compression: by Accept-Encoding, type, length and Cache-Control; over HTTP/2, too", async () => {
  const text = "compress me, ".repeat(1_000);
  const put = (headers: Record<string, string>, body: string | Buffer = text) =>
    backend.routes.set("/in/c", (_req, res) => void res.writeHead(200, headers).end(body));
  const json = { "content-type": "application/json" };
  const table: [accept: string, headers: Record<string, string>, expected: string | undefined][] = [
    ["gzip, deflate, br, zstd", json, "br"],
    ["gzip;q=1, br;q=0.5", json, "gzip"],
    ["br;q=0, gzip", json, "gzip"],
    ["*", json, "br"],
    ["identity", json, undefined],
    ["", json, undefined],
    ["gzip;q=0", json, undefined],
    ["identity, gzip;q=0.1", json, undefined],
    ["br", { "content-type": "image/png" }, undefined],
    ["br", { ...json, "cache-control": "public, no-transform" }, undefined],
    ["br", { ...json, "content-length": "1024" }, undefined],
    ["br", { ...json, "content-length": "1025" }, "br"],
  ];
  for (const [accept, headers, expected] of table) {
    const length = headers["content-length"];
    const sent = length === undefined ? text : text.slice(0, Number(length));
    put({ etag: '"x"', vary: "Cookie", ...headers }, sent);
    const response = await ask("/small/c", { "accept-encoding": accept });
    assert.equal(response.headers["content-encoding"], expected, `${accept} ${JSON.stringify(headers)}`);
    const body = await whole(response);
    if (expected === undefined) {
      assert.equal(body.toString(), sent);
      assert.equal(response.headers.etag, '"x"');
      continue;
    }
    assert.equal((expected === "br" ? zlib.brotliDecompressSync : zlib.gunzipSync)(body).toString(), sent);
    assert.equal(response.headers.etag, 'W/"x"');
    assert.equal(response.headers.vary, "Cookie, Accept-Encoding");
  }
  const packed = zlib.gzipSync(text);
  put({ ...json, "content-encoding": "gzip" }, packed);
  assert.deepEqual(await whole(await ask("/small/c", { "accept-encoding": "br" })), packed);

  put(json);
  const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  const over2 = await request2(user, { ":path": "/small/c", ":authority": HOST, "accept-encoding": "gzip" });
  assert.equal(zlib.gunzipSync(Buffer.from(over2.body, "latin1")).toString(), text);
  user.destroy();
});

test("events are compressed one by one", async () => {
  let send = (_: number) => {};
  backend.routes.set("/in/events", (_req, res) => {
    res.writeHead(200, { "content-type": "text/event-stream" });
    send = (i) => void (i < 20 ? res.write(`data: ${i}\n\n`) : res.end());
    send(0);
  });
  const response = await ask("/small/events", { "accept-encoding": "gzip" });
  assert.equal(response.headers["content-encoding"], "gzip");
  let seen = "";
  let count = 0;
  for await (const bytes of response.pipe(zlib.createGunzip()) as AsyncIterable<Buffer>) {
    seen += bytes.toString();
    // One may come in pieces.
    if (seen.split("\n\n").length - 1 > count) send(++count);
  }
  assert.equal(seen.split("\n\n").length, 21);
});

test("a body that is not what it says, or breaks off, is not passed off as whole; the lane serves the next", async () => {
  const page = zlib.gzipSync(ROW.repeat(20_000));
  const answers: Record<string, (res: ServerResponse) => void> = {
    "/in/damaged": (res) => {
      const damaged = Buffer.from(page);
      damaged.fill(0xff, 3_000, 3_100);
      res.end(damaged);
    },
    "/in/short": (res) => void res.end(page.subarray(0, -20)),
    "/in/reset": (res) => void res.write(page.subarray(0, 3_000), () => res.destroy()),
  };
  for (const [path, answer] of Object.entries(answers)) {
    backend.routes.set(path, (_req, res) => {
      res.writeHead(200, { "content-type": "text/html", "content-encoding": "gzip" });
      answer(res);
    });
    const read = async () => whole(await ask(path.replace("/in/", "/links/")));
    await assert.rejects(read, { code: "ECONNRESET" }, path);
  }
  await stage.lanesIdle();
  backend.routes.set(
    "/in/empty",
    (_req, res) => void res.writeHead(200, { "content-type": "text/html", "content-encoding": "gzip" }).end(),
  );
  assert.equal((await whole(await ask("/links/empty"))).length, 0);
});

test("users who leave in the middle leave nothing behind", async () => {
  backend.routes.set("/in/leave", (_req, res) => {
    res.writeHead(200, { "content-type": "text/html", "content-encoding": "gzip" });
    const gzip = zlib.createGzip({ level: 1 });
    gzip.pipe(res);
    res.on("close", () => gzip.destroy());
    writeMany(gzip, Buffer.from(ROW.repeat(160)), 1_000).catch(() => {});
  });
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 10 }, async () => {
      const response = await ask("/both/leave");
      await once(response, "data");
      response.destroy();
    }));
  }
  await stage.lanesIdle();
});
