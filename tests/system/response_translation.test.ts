/** What an app's settings do to responses on their way: URLs, cookies, headers, links in pages. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import * as zlib from "node:zlib";
import { type HttpBackend, httpBackend } from "../support/http_backend.ts";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { Wire } from "../support/wire.ts";

let stage: IngressStage;
let backend: HttpBackend;

const HOST = "app.example.test";

before(async () => {
  backend = await httpBackend();
  stage = await ingressStage();
  const at = (path: string) => `${backend.origin}${path}`;
  await stage.publish("moved", [`https://${HOST}/docs`, "https://*.example.test/docs"], at("/wiki"), {
    cookies: { secure: true, httpOnly: true, sameSite: "lax" },
  });
  await stage.publish("links", `https://${HOST}/links`, at("/wiki"), { translateLinks: true });
  await stage.publish("raw", `https://${HOST}/raw`, at("/wiki"), {
    translateHeaders: false,
    forwardedHeader: false,
  });
  await stage.publish("asked", `https://${HOST}/asked`, at("/wiki"), { translateRequestHeaders: true });
  await stage.publish("custom", `https://${HOST}/custom`, at("/wiki"), {
    requestHeaders: [
      { action: "set", name: "X-Set", value: "ours" },
      { action: "add", name: "X-Add", value: "ours" },
      { action: "remove", name: "User-Agent" },
    ],
    responseHeaders: [
      { action: "remove", name: "X-Powered-By" },
      { action: "set", name: "X-Frame-Options", value: "DENY" },
      { action: "add", name: "Set-Cookie", value: "extra=1" },
    ],
  });
  await stage.publish("loop", "http://loop.example.test", `http://127.0.0.1:${stage.plainPort}`, {
    hostHeader: "user",
  });
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** One request over plain HTTP/1.1. */
function get(
  path: string,
  headers: Record<string, string> = {},
  host = HOST,
  method = "GET",
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { host: "127.0.0.1", port: stage.plainPort, path, method, agent: false, headers: { host, ...headers } },
      (response: IncomingMessage) => {
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.on("error", reject);
        response.on(
          "end",
          () =>
            resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces) }),
        );
      },
    );
    sent.on("error", reject);
    sent.end();
  });
}

test("a login that redirects and sets cookies works across path prefixes, on HTTP/2 and under a wildcard host", async () => {
  const { routes, port } = backend;
  routes.set(
    "/wiki/",
    (_req, res) =>
      void res.writeHead(302, { location: `http://127.0.0.1:${port}/wiki/login?to=%2Fwiki%2F` }).end(),
  );
  routes.set("/wiki/login", (_req, res) =>
    void res.writeHead(303, {
      location: "/wiki/home",
      "content-location": `http://127.0.0.1:${port}/wiki/login`,
      refresh: `5; url=http://127.0.0.1:${port}/wiki/home`,
      link:
        `<http://127.0.0.1:${port}/wiki/a.css>; rel=preload; title="</wiki/>", </wiki/b>; rel=next, <http://cdn.test/c>; rel=x`,
      "set-cookie": ["sid=a=b,c; Path=/wiki; Domain=127.0.0.1", "theme=dark; Path=/; SameSite=None; secure"],
    }).end());
  routes.set("/wiki/home", (req, res) => void res.end(`hello ${req.headers.cookie}`));

  const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  const first = await request2(user, { ":path": "/docs/", ":authority": HOST });
  assert.deepEqual([first.status, first.headers.location], [302, `https://${HOST}/docs/login?to=%2Fwiki%2F`]);
  const next = new URL(first.headers.location!);
  const login = await request2(user, { ":path": next.pathname + next.search, ":authority": HOST });
  assert.equal(login.headers.location, "/docs/home");
  assert.equal(login.headers["content-location"], `https://${HOST}/docs/login`);
  assert.equal(login.headers.refresh, `5; url=https://${HOST}/docs/home`);
  assert.equal(
    login.headers.link,
    `<https://${HOST}/docs/a.css>; rel=preload; title="</wiki/>", </docs/b>; rel=next, <http://cdn.test/c>; rel=x`,
  );
  const cookies = login.headers["set-cookie"]!;
  assert.deepEqual(cookies, [
    "sid=a=b,c; Path=/docs; HttpOnly; SameSite=Lax; Secure",
    "theme=dark; Path=/; secure; HttpOnly; SameSite=Lax",
  ]);
  const cookie = cookies.map((text) => text.split(";")[0]).join("; ");
  const home = await request2(user, { ":path": login.headers.location!, ":authority": HOST, cookie });
  assert.equal(home.body, "hello sid=a=b,c; theme=dark");
  routes.set("/wiki/hints", (_req, res) => {
    res.writeEarlyHints({ link: `<http://127.0.0.1:${port}/wiki/a.css>; rel=preload` });
    res.end();
  });
  const hints = await request2(user, { ":path": "/docs/hints", ":authority": HOST });
  assert.equal(hints.informational[0]!.link, `<https://${HOST}/docs/a.css>; rel=preload`);
  user.destroy();

  const wild = await get("/docs/", {}, "Other.example.test:8080");
  assert.equal(wild.headers.location, "http://Other.example.test:8080/docs/login?to=%2Fwiki%2F");
  const plain = await get("/docs/login", {}, "other.example.test");
  assert.equal(plain.headers["set-cookie"]![0], "sid=a=b,c; Path=/docs; HttpOnly; SameSite=Lax");
  const untouched = await get("/raw/login");
  assert.equal(untouched.headers.location, "/wiki/home");
  assert.equal(untouched.headers["set-cookie"]![0], "sid=a=b,c; Path=/wiki; Domain=127.0.0.1");
});

test("Origin, Referer and Destination of the app are its backend's own where it asks for that; those of others never", async () => {
  backend.routes.set("/wiki/save", ({ headers }, res) => {
    // What frameworks do against forged requests, and WebDAV servers with what is to be moved.
    const isOwn = [headers.origin, headers.referer, headers.destination].every((url) =>
      url === undefined || new URL(String(url)).host === headers.host
    );
    res.writeHead(isOwn ? 200 : 403).end(`${headers.origin} ${headers.referer} ${headers.destination}`);
  });
  const ours = (path: string, scheme = "http") => ({
    origin: `${scheme}://${HOST}`,
    referer: `${scheme}://${HOST}/${path}/form?a=1`,
    destination: `${scheme}://${HOST}/${path}/b`,
  });
  const saved = await get("/asked/save", ours("asked"), HOST, "POST");
  const inner = `${backend.origin} ${backend.origin}/wiki/form?a=1 ${backend.origin}/wiki/b`;
  assert.deepEqual([saved.status, String(saved.body)], [200, inner]);
  const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  const on2 = await request2(user, {
    ":path": "/asked/save",
    ":authority": HOST,
    ...ours("asked", "https"),
  });
  assert.deepEqual([on2.status, on2.body], [200, inner]);
  user.destroy();
  const forged = await get("/asked/save", { ...ours("asked"), origin: "https://evil.example" }, HOST, "POST");
  assert.equal(forged.status, 403);
  assert.match(String(forged.body), /^https:\/\/evil\.example /);
  const kept = ours("docs");
  const plain = await get("/docs/save", kept, HOST, "POST");
  assert.deepEqual([plain.status, String(plain.body)], [403, Object.values(kept).join(" ")]);
});

const KINDS = [
  '<base href="ORIGIN/wiki/">',
  '<link rel=stylesheet href="ORIGIN/wiki/a.css">',
  "<link rel=icon href=/wiki/i>",
  '<link imagesrcset="/wiki/a 1x">',
  '<meta http-equiv=refresh content="9; url=/wiki/r">',
  "<style>@import '/wiki/s.css'; p { background: url(/wiki/s1) } q { background: url(\"ORIGIN/wiki/s2\") }</style>",
  '<a href="/wiki/1">',
  "<a href='/wiki/2'>",
  "<a href=/wiki/3>",
  '<a href="ORIGIN/wiki/4">',
  '<a href="//127.0.0.1:PORT/wiki/5">',
  '<a href="http:&#x2f;&#47;127.0.0.1:PORT/wiki/6">',
  '<a ping="/wiki/7 /wiki/8">',
  "<A\n HREF = '/wiki/9' >",
  '<area href="/wiki/10">',
  '<img src="/wiki/11">',
  '<img srcset="/wiki/12 1x, ORIGIN/wiki/13 2x">',
  "<source srcset=/wiki/14>",
  '<script src="/wiki/15"></script>',
  '<iframe src="/wiki/16"></iframe>',
  '<embed src="/wiki/17">',
  '<object data="/wiki/18"></object>',
  '<form action="/wiki/19">',
  '<button formaction="/wiki/20">',
  "<input type=image src=/wiki/21>",
  '<video poster="/wiki/22" src="/wiki/23">',
  '<audio src="/wiki/24">',
  '<track src="/wiki/25">',
  '<body background="/wiki/26">',
  '<blockquote cite="/wiki/27">',
  '<p style="background:url(&quot;/wiki/28&quot;)">',
  '<svg><use xlink:href="/wiki/29"/><image href="/wiki/30"/></svg>',
];
const KEPT = [
  '<a href="x">',
  '<a href="#f">',
  '<a href="/other">',
  '<a href="https://elsewhere.test/wiki/x">',
  '<a href="mailto:x@y">',
  "<script>var u = '/wiki/x'</script>",
  "<!-- /wiki/x <a href=/wiki/x> -->",
  "<p title='/wiki/x'>caf\u00e9 \u20ac /wiki/x</p>",
];

const CODINGS: [name: string | undefined, pack: (b: Buffer) => Buffer, unpack: (b: Buffer) => Buffer][] = [
  [undefined, (b) => b, (b) => b],
  ["gzip", zlib.gzipSync, zlib.gunzipSync],
  ["deflate", zlib.deflateSync, zlib.inflateSync],
  ["br", zlib.brotliCompressSync, zlib.brotliDecompressSync],
  ["zstd", zlib.zstdCompressSync, zlib.zstdDecompressSync],
];

function fill(text: string): string {
  return text.replaceAll("ORIGIN", backend.origin).replaceAll("PORT", String(backend.port));
}

test("every kind of link in a page is translated, in every coding; all else stays byte for byte", async () => {
  const page = fill([...KINDS, ...KEPT, ...KINDS].join("\r\n"));
  const expected = [...KINDS, ...KEPT, ...KINDS]
    .map((text) => KEPT.includes(text) ? text : moved(fill(text))).join("\r\n");
  assert.ok(KINDS.length >= 30);
  for (const [coding, pack, unpack] of CODINGS) {
    for (const length of [true, false]) {
      backend.routes.set("/wiki/page", (_req, res) => {
        const body = pack(Buffer.from(page));
        res.setHeader("content-type", "text/html; charset=UTF-8");
        res.setHeader("etag", '"v1"');
        res.setHeader("accept-ranges", "bytes");
        res.setHeader("content-md5", "x");
        res.setHeader("repr-digest", "x");
        if (coding !== undefined) res.setHeader("content-encoding", coding);
        if (length) res.setHeader("content-length", body.length);
        res.write(body.subarray(0, 1000));
        setImmediate(() => res.end(body.subarray(1000)));
      });
      const { headers, body } = await get("/links/page");
      assert.equal(unpack(body).toString(), expected, coding ?? "identity");
      assert.equal(headers["content-encoding"], coding);
      assert.equal(headers.etag, 'W/"v1"');
      for (const gone of ["content-length", "accept-ranges", "content-md5", "repr-digest"]) {
        assert.equal(headers[gone], undefined, gone);
      }
    }
  }
});

/** What a link of the table becomes: the origin is the user's, the prefix the external one. */
function moved(text: string): string {
  return text.replaceAll(backend.origin, `http://${HOST}`).replaceAll(`127.0.0.1:${backend.port}`, HOST)
    .replace("http:&#x2f;&#47;", "http://").replaceAll("/wiki", "/links")
    .replace(/=(\/links[^ >"]*)(?=[ >])/g, '="$1"');
}

test("a style sheet is translated; other types, unknown charsets and codings, parts, HEAD and 304 are not", async () => {
  const css = `a{b:url(${backend.origin}/wiki/x)}@import "/wiki/y";`;
  const put = (headers: Record<string, string>, status = 200) =>
    backend.routes.set("/wiki/s", (_req, res) => void res.writeHead(status, headers).end(css));
  put({ "content-type": "text/css" });
  assert.equal(
    (await get("/links/s")).body.toString(),
    `a{b:url(http://${HOST}/links/x)}@import "/links/y";`,
  );
  const untouched: [Record<string, string>, number?][] = [
    [{ "content-type": "text/plain" }],
    [{ "content-type": "application/javascript" }],
    [{}],
    [{ "content-type": "text/css; charset=utf-16" }],
    [{ "content-type": "text/html; charset=iso-2022-jp" }],
    [{ "content-type": "text/css", "content-encoding": "compress" }],
    [{ "content-type": "text/css", "content-encoding": "gzip, gzip" }],
    [{ "content-type": "text/css", "content-range": `bytes 0-${css.length - 1}/999` }, 206],
  ];
  for (const [headers, status] of untouched) {
    put({ ...headers, "content-length": String(css.length), etag: '"v1"' }, status);
    const answer = await get("/links/s");
    assert.equal(answer.body.toString(), css);
    assert.equal(answer.headers["content-length"], String(css.length));
    assert.equal(answer.headers.etag, '"v1"');
  }
  put({ "content-type": "text/css", "content-length": String(css.length), etag: '"v1"' });
  const head = await get("/links/s", {}, HOST, "HEAD");
  assert.deepEqual([head.status, head.headers["content-length"], head.headers.etag], [
    200,
    undefined,
    'W/"v1"',
  ]);
  backend.routes.set("/wiki/s", (_req, res) => void res.writeHead(304, { etag: '"v1"' }).end());
  assert.equal((await get("/links/s", { "if-none-match": 'W/"v1"' })).status, 304);
});

test("an app's own headers are set, added and removed on both ways; Via and Forwarded are said as the app wants", async () => {
  let seen: IncomingHttpHeaders = {};
  backend.routes.set("/wiki/h", (req, res) => {
    seen = req.headers;
    res.writeHead(200, { "x-powered-by": "x", "x-frame-options": "ALLOW", "set-cookie": ["a=1", "b=2"] })
      .end();
  });
  const sent = {
    "x-set": "theirs",
    "x-add": "theirs",
    "user-agent": "u",
    via: "1.0 proxy",
    forwarded: "for=6.6.6.6",
  };
  const answer = await get("/custom/h", sent);
  assert.deepEqual([seen["x-set"], seen["x-add"], seen["user-agent"]], ["ours", "theirs, ours", undefined]);
  assert.match(seen.via!, /^1\.0 proxy, 1\.1 sallyport-[0-9a-f]{16}$/);
  assert.equal(seen.forwarded, `for=127.0.0.1;host="${HOST}";proto=http`);
  assert.deepEqual([answer.headers["x-powered-by"], answer.headers["x-frame-options"]], [undefined, "DENY"]);
  assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2", "extra=1"]);
  assert.equal(answer.headers.via, seen.via!.split(", ")[1]);
  await get("/raw/h", { forwarded: "for=6.6.6.6" });
  assert.equal(seen.forwarded, undefined);
});

const LOOP = "loop.example.test";
const loops = () => stage.metric('sallyport_errors_total{code="loop_detected"}');

test("an app that leads back to the broker is answered 508 and counted, an upgrade, too", async () => {
  const before = await loops();
  const wire = await Wire.plain(stage.plainPort);
  wire.send(`GET /x HTTP/1.1\r\nHost: ${LOOP}\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n`);
  for (const { status, body } of [await wire.response(), await get("/x", {}, LOOP)]) {
    assert.deepEqual([status, JSON.parse(body.toString()).code], [508, "loop_detected"]);
  }
  wire.close();
  assert.equal(await loops(), before + 2);
});

test("HTTP/2: an app that leads back to the broker is answered 508 and counted", {
  skip: "Deno" in globalThis && "Deno's HTTP/2 client loses a short answer",
}, async () => {
  const before = await loops();
  const user = await http2User({ port: stage.tlsPort, servername: LOOP, ca: stage.ca });
  const { status, body } = await request2(user, { ":path": "/x", ":authority": LOOP });
  user.destroy();
  assert.deepEqual([status, JSON.parse(body).code], [508, "loop_detected"]);
  assert.equal(await loops(), before + 1);
});
