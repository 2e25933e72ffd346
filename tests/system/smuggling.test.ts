/**
 * Requests that programs read in more than one way: each is refused, or reaches the backend as exactly one request that
 * can be read in one way only. Raw bytes go in, over HTTP/1.1 (plain and TLS) and as HTTP/2 frames; what is looked at are
 * the raw bytes that a backend got.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { MALFORMED_CHUNKS } from "../support/malformed_chunks.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import { FLAG, FRAME, frame, headerBlock, RawHttp2 } from "../support/raw_http2.ts";
import { readHead, type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "smuggle.example.test";
const OTHER = "other.example.test";
const TUNNEL = "tunnel.sallyport.internal";

let stage: IngressStage;
let backend: StagedBackend;

before(async () => {
  stage = await ingressStage();
  backend = await stagedBackend(echo);
  await stage.publish("smuggle", [`http://${HOST}`, `https://${HOST}`], backend.origin);
  await stage.publish("other", [`http://${OTHER}`, `https://${OTHER}`], backend.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

/** Answers with the target, so that a response in the wrong place is seen. */
function echo({ socket, head }: RawRequest): void {
  socket.write(answerOk(head.split(" ")[1]), "latin1");
}

/** A request as the backend must see it: its line, some headers (undefined: not there), its body as framed. */
interface Seen {
  line: string;
  headers?: Record<string, string | undefined>;
  body?: string;
}

/** What must come of a row. */
interface Expected {
  /** Status of the refusal; the backend sees nothing. `closed`: it may also be none. */
  refused?: number;
  /** Requests that the backend sees, in this order, and nothing else. */
  seen?: Seen[];
  /** The head may have reached the backend when the body turns out to be wrong; a whole request must not. */
  broken?: true;
}

interface Row extends Expected {
  what: string;
  /** Raw bytes, latin1. */
  send: string;
}

const SMUGGLED = `GET /smuggled HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
const get = (...lines: string[]) => ["GET /row HTTP/1.1", `Host: ${HOST}`, ...lines, "", ""].join("\r\n");
const post = (...lines: string[]) => ["POST /row HTTP/1.1", `Host: ${HOST}`, ...lines, "", ""].join("\r\n");
const hosts = (...values: string[]) =>
  ["GET /row HTTP/1.1", ...values.map((value) => `Host: ${value}`), "", ""].join("\r\n");
const line = (text: string) => `${text}\r\nHost: ${HOST}\r\n\r\n`;
const chunked = (body: string, ...lines: string[]) => post("Transfer-Encoding: chunked", ...lines) + body;
const ROW: Seen = { line: "GET /row HTTP/1.1" };
const POSTED: Seen = {
  line: "POST /row HTTP/1.1",
  headers: { "transfer-encoding": "chunked", "content-length": undefined },
  body: "5\r\nhello\r\n0\r\n\r\n",
};
const HELLO = "5\r\nhello\r\n0\r\n\r\n";

const refused = (status: number, rows: Record<string, string>): Row[] =>
  Object.entries(rows).map(([what, send]) => ({ what, send, refused: status }));
const broken = (rows: Record<string, string>): Row[] =>
  Object.entries(rows).map(([what, send]) => ({ what, send, broken: true }));
const forwarded = (rows: Record<string, [string, ...Seen[]]>): Row[] =>
  Object.entries(rows).map(([what, [send, ...seen]]) => ({ what, send, seen }));

const HTTP1_ROWS: Row[] = [
  ...refused(400, {
    // Framing: RFC 9112 sections 6.1 and 6.3.
    "Content-Length, then Transfer-Encoding": post("Content-Length: 4", "Transfer-Encoding: chunked") +
      `0\r\n\r\n${SMUGGLED}`,
    "Transfer-Encoding, then Content-Length": post("Transfer-Encoding: chunked", "Content-Length: 4") +
      `0\r\n\r\n${SMUGGLED}`,
    "Transfer-Encoding xchunked": post("Transfer-Encoding: xchunked") + `0\r\n\r\n${SMUGGLED}`,
    "Transfer-Encoding gzip, chunked": post("Transfer-Encoding: gzip, chunked") + HELLO + SMUGGLED,
    "Transfer-Encoding chunked, identity": post("Transfer-Encoding: chunked, identity") + HELLO + SMUGGLED,
    "Transfer-Encoding chunked, chunked": post("Transfer-Encoding: chunked, chunked") + HELLO + SMUGGLED,
    "Transfer-Encoding chunked, and an empty one": post("Transfer-Encoding: chunked,") + HELLO + SMUGGLED,
    "two Transfer-Encodings": post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + HELLO +
      SMUGGLED,
    "two Transfer-Encodings, one identity":
      post("Transfer-Encoding: identity", "Transfer-Encoding: chunked") +
      HELLO + SMUGGLED,
    "Transfer-Encoding identity": post("Transfer-Encoding: identity") + SMUGGLED,
    "Transfer-Encoding identity with Content-Length":
      post("Transfer-Encoding: identity", "Content-Length: 5") +
      "hello",
    "Transfer-Encoding before white space": post("Transfer-Encoding: chunked \t") + HELLO + SMUGGLED,
    "an empty Transfer-Encoding": post("Transfer-Encoding:") + SMUGGLED,
    "Transfer-Encoding with a parameter": post("Transfer-Encoding: chunked;q=1") + HELLO + SMUGGLED,
    "Transfer-Encoding in quotes": post('Transfer-Encoding: "chunked"') + HELLO + SMUGGLED,
    "Transfer-Encoding with a vertical tab": post("Transfer-Encoding: \x0bchunked") + HELLO + SMUGGLED,
    "Transfer-Encoding with a NUL": post("Transfer-Encoding: chunked\x00") + HELLO + SMUGGLED,
    "Transfer-Encoding in the next line": post("Transfer-Encoding:", " chunked") + HELLO + SMUGGLED,
    "Transfer-Encoding in HTTP/1.0":
      `POST /row HTTP/1.0\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}${SMUGGLED}`,
    "Transfer-Encoding before a space": post("Transfer-Encoding : chunked") + HELLO + SMUGGLED,
    "Transfer-Encoding before a tab": post("Transfer-Encoding\t: chunked") + HELLO + SMUGGLED,
    "Transfer-Encoding after a space": post(" Transfer-Encoding: chunked") + HELLO + SMUGGLED,
    "two equal Content-Lengths": post("Content-Length: 5", "Content-Length: 5") + "hello",
    "two Content-Lengths": post("Content-Length: 5", "Content-Length: 0") + "hello",
    "Content-Length with a plus": post("Content-Length: +5") + "hello",
    "Content-Length with a minus": post("Content-Length: -5") + "hello",
    "Content-Length as a list": post("Content-Length: 5, 5") + "hello",
    "Content-Length in hexadecimal": post("Content-Length: 0x5") + "hello",
    "Content-Length in hexadecimal without prefix": post("Content-Length: a") + "hellohello",
    "Content-Length with a fraction": post("Content-Length: 5.0") + "hello",
    "Content-Length in two words": post("Content-Length: 5 5") + "hello",
    "Content-Length with a NUL": post("Content-Length: 5\x00") + "hello",
    "Content-Length beyond 64 bits": post("Content-Length: 18446744073709551621") + "hello",
    "an empty Content-Length": post("Content-Length:") + "hello",
    "Content-Length before a space": post("Content-Length : 5") + "hello",
    // Lines: RFC 9112 sections 2.2 and 5.
    "a folded line": get("X-A: 1", " 2"),
    "a folded line with a tab": get("X-A: 1", "\t2"),
    "a folded first line": `GET /row HTTP/1.1\r\n Host: ${HOST}\r\n\r\n`,
    "a bare CR in a value": get("X-A: 1\rX-B: 2"),
    "a bare LF after a value": get("X-A: 1\nX-B: 2"),
    "a bare LF after the request line": `GET /row HTTP/1.1\nHost: ${HOST}\r\n\r\n`,
    "a head of bare LFs": `GET /row HTTP/1.1\nHost: ${HOST}\n\n`,
    "a bare LF at the end of the head": `GET /row HTTP/1.1\r\nHost: ${HOST}\r\n\n`,
    "a bare CR at the end of a line": `GET /row HTTP/1.1\rHost: ${HOST}\r\n\r\n`,
    "two CRs before the LF": `GET /row HTTP/1.1\r\nHost: ${HOST}\r\r\n\r\n`,
    "a NUL in a value": get("X-A: 1\x002"),
    "a control character in a value": get("X-A: 1\x082"),
    "a NUL in a name": get("X\x00A: 1"),
    "a space in a name": get("X A: 1"),
    "a space before a colon": get("X-A : 1"),
    "an empty name": get(": 1"),
    "a line without a colon": get("X-A"),
    "a name in brackets": get("X[A]: 1"),
    "a name beyond ASCII": get("X-\xc4: 1"),
    // Hosts: RFC 9112 section 3.2.
    "no Host": "GET /row HTTP/1.1\r\n\r\n",
    "two equal Hosts": hosts(HOST, HOST),
    "two Hosts": hosts(HOST, OTHER),
    "two Hosts, the other way round": hosts(OTHER, HOST),
    "an empty Host": hosts(""),
    "a Host with user information": hosts(`${HOST}@evil.test`),
    "a Host after user information": hosts(`evil.test@${HOST}`),
    "a Host with a space": hosts(`${HOST} evil.test`),
    "a Host with a path": hosts(`${HOST}/smuggled`),
    "a Host with a query": hosts(`${HOST}?x`),
    "a Host with a fragment": hosts(`${HOST}#x`),
    "a Host with a scheme": hosts(`http://${HOST}`),
    "a Host with a comma": hosts(`${HOST},${OTHER}`),
    "a Host with two ports": hosts(`${HOST}:80:81`),
    "a Host with a port that is none": hosts(`${HOST}:8a`),
    "a Host with a port out of range": hosts(`${HOST}:65536`),
    "a Host with an empty port": hosts(`${HOST}:`),
    "a Host with a percent escape": hosts("smuggle%2eexample.test"),
    "a Host with a backslash": hosts(`${HOST}\\evil.test`),
    "a Host with a NUL": hosts(`${HOST}\x00.evil.test`),
    "a Host beyond ASCII": hosts("sm\xfcggle.example.test"),
    "a Host in the next line": `GET /row HTTP/1.1\r\nHost:\r\n ${HOST}\r\n\r\n`,
    "a Host before a space": `GET /row HTTP/1.1\r\nHost : ${HOST}\r\n\r\n`,
    // Targets and request lines: RFC 9112 section 3.
    "absolute form with another host": line(`GET http://${OTHER}/row HTTP/1.1`),
    "absolute form with user information": line(`GET http://${HOST}@${OTHER}/row HTTP/1.1`),
    "absolute form with another scheme": line(`GET ftp://${HOST}/row HTTP/1.1`),
    "absolute form with a backslash": line(`GET http://${OTHER}\\@${HOST}/row HTTP/1.1`),
    "authority form": line(`GET ${HOST}:80 HTTP/1.1`),
    "CONNECT": `CONNECT ${HOST}:80 HTTP/1.1\r\nHost: ${HOST}:80\r\n\r\n${SMUGGLED}`,
    "a target without a slash": line("GET row HTTP/1.1"),
    "a fragment in the target": line("GET /row#x HTTP/1.1"),
    "a space in the target": line("GET /row x HTTP/1.1"),
    "a request in the target": line(`GET /row HTTP/1.1 /x HTTP/1.1`),
    "a NUL in the target": line("GET /row\x00x HTTP/1.1"),
    "a control character in the target": line("GET /row\x7fx HTTP/1.1"),
    "a target beyond ASCII": line("GET /r\xf6w HTTP/1.1"),
    "a bare CR in the target": line("GET /row\rx HTTP/1.1"),
    "a tab after the method": line("GET\t/row HTTP/1.1"),
    "HTTP/2.0": line("GET /row HTTP/2.0"),
    "an upgrade of HTTP/2.0":
      `GET /row HTTP/2.0\r\nHost: ${HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    "HTTP/1.2": line("GET /row HTTP/1.2"),
    "HTTP/0.9": "GET /row\r\n\r\n",
    "http/1.1 in lower case": line("GET /row http/1.1"),
    "a version with more digits": line("GET /row HTTP/1.10"),
    "a method in lower case": line("get /row HTTP/1.1"),
    "a method that nobody knows": line("SMUGGLE /row HTTP/1.1"),
    "a method with a colon": line("GET: /row HTTP/1.1"),
    "an escaped dot segment beside a slash that is none": line("GET /a/..%2f..%2frow HTTP/1.1"),
    "dot segments above the root": line("GET /../row HTTP/1.1"),
    "what is no HTTP": "\x16\x03\x01\x00\x00\r\n\r\n",
  }),
  ...refused(421, {
    "the tunnel's name as Host": hosts(TUNNEL),
  }),
  ...broken({
    ...Object.fromEntries(
      Object.entries(MALFORMED_CHUNKS).map(([what, body]) => [what, chunked(body + SMUGGLED)]),
    ),
    "a chunk extension of 64 KiB": chunked(`5;a=${"x".repeat(65_536)}\r\nhello\r\n0\r\n\r\n${SMUGGLED}`),
    "a Transfer-Encoding in the trailers": chunked(
      `5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n${SMUGGLED}`,
    ),
    "a Content-Length in the trailers": chunked(`5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n${SMUGGLED}`),
  }),
  ...forwarded({
    "Transfer-Encoding after a tab": [post("Transfer-Encoding:\tchunked") + HELLO, POSTED],
    "Transfer-Encoding in capitals": [post("TRANSFER-ENCODING: CHUNKED") + HELLO, POSTED],
    "spaces between method, target and version": [line("GET  /row  HTTP/1.1"), ROW],
    "chunk extensions": [
      chunked('5;a=b;c="d"\r\nhello\r\n0;y\r\n\r\n') + SMUGGLED,
      { ...POSTED, headers: { "transfer-encoding": "chunked" } },
      { line: "GET /smuggled HTTP/1.1" },
    ],
    "a chunk size with zeros in front": [chunked("0005\r\nhello\r\n000\r\n\r\n"), POSTED],
    "a body with a length that holds a request": [
      post(`Content-Length: ${SMUGGLED.length}`) + SMUGGLED,
      { line: "POST /row HTTP/1.1", headers: { "content-length": String(SMUGGLED.length) }, body: SMUGGLED },
    ],
    "a body in a GET": [
      get("Content-Length: 5") + "hello",
      { ...ROW, headers: { "content-length": "5" }, body: "hello" },
    ],
    "a length with zeros in front": [
      post("Content-Length: 005") + `hello${SMUGGLED}`,
      { line: "POST /row HTTP/1.1", body: "hello" },
      { line: "GET /smuggled HTTP/1.1" },
    ],
    "two requests at once": [get() + SMUGGLED, ROW, { line: "GET /smuggled HTTP/1.1" }],
    "an empty line before the request": [`\r\n${get()}`, ROW],
    "absolute form with the same host": [
      `GET http://${HOST}/row HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
      { ...ROW, headers: { "x-forwarded-host": HOST } },
    ],
    "quotes and backslashes in the query": [
      line("GET /row?\"'\\ HTTP/1.1"),
      { line: "GET /row?\"'\\ HTTP/1.1" },
    ],
    "a Connection that names framing, Host and forwarded facts": [
      post("Content-Length: 5", "Connection: content-length, host, x-forwarded-for, transfer-encoding") +
      "hello",
      {
        line: "POST /row HTTP/1.1",
        headers: { "content-length": "5", "x-forwarded-for": "127.0.0.1" },
        body: "hello",
      },
    ],
    "forwarded facts of the user's own": [
      get("X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Real-Ip: 6.6.6.6"),
      { ...ROW, headers: { "x-forwarded-for": "127.0.0.1", "x-real-ip": undefined } },
    ],
    "names that become those of forwarded facts where servers take `-` for `_`": [
      get("X_Forwarded_For: 6.6.6.6", "X-Forwarded_Host: evil", "x.forwarded.proto: ftp", "X_A: 1", "X-A: 2"),
      {
        ...ROW,
        headers: {
          x_forwarded_for: undefined,
          "x-forwarded_host": undefined,
          "x.forwarded.proto": undefined,
          "x-forwarded-for": "127.0.0.1",
          x_a: "1",
          "x-a": "2",
        },
      },
    ],
    "names that become those of framing where servers take `-` for `_`": [
      get("Transfer_Encoding: chunked", "Content_Length: 5"),
      { ...ROW, headers: { transfer_encoding: undefined, content_length: undefined } },
    ],
    "trailers that speak of Host and forwarded facts": [
      chunked(
        `5\r\nhello\r\n0\r\nHost: evil.test\r\n` +
          `X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n`,
        "Trailer: X-A",
      ) + SMUGGLED,
      { line: "POST /row HTTP/1.1", headers: { "transfer-encoding": "chunked" }, body: HELLO },
      { line: "GET /smuggled HTTP/1.1" },
    ],
    "an upgrade to HTTP/2": [
      get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
      { ...ROW, headers: { upgrade: undefined, "http2-settings": undefined } },
    ],
    "an upgrade of a request with a body": [
      post("Connection: Upgrade", "Upgrade: websocket", `Content-Length: ${SMUGGLED.length}`) + SMUGGLED,
      { line: "POST /row HTTP/1.1", headers: { upgrade: undefined }, body: SMUGGLED },
    ],
  }),
];

/** A fresh connection for HTTP/1.1. */
const OPEN: Record<string, () => Promise<Wire>> = {
  "HTTP/1.1": () => Wire.plain(stage.plainPort),
  "HTTP/1.1 with TLS": () => Wire.tls({ port: stage.tlsPort, servername: HOST, ca: stage.ca }),
};

let requests = 0;

/** Whoever comes next, on a connection of its own, gets the answer to its own request. */
async function nextIsServed(wire: Wire): Promise<void> {
  const target = `/next-${requests++}`;
  wire.send(`GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
  const { status, body } = await wire.response();
  assert.equal(`${status} ${body}`, `200 ${target}`);
  assert.equal(await wire.rest(), "");
  wire.close();
}

/** The backend saw these requests and, save for the head of a request that broke off, nothing else. */
function assertSeen(seen: readonly Seen[]): void {
  // Requests of one connection may overtake one another on the way to the backend; their responses do not.
  const lines = backend.raw.requests.map(({ head }) => readHead(head).line);
  assert.deepEqual(
    lines.filter((line) => !line.includes("/next-")).toSorted(),
    seen.map(({ line }) => line).toSorted(),
  );
  for (const { line, headers = {}, body = "" } of seen) {
    const request = backend.raw.requests[lines.indexOf(line)]!;
    const got = readHead(request.head).headers;
    for (const [name, value] of Object.entries(headers)) assert.equal(valueOf(got, name), value, name);
    assert.equal(request.body, body);
    assert.doesNotMatch(request.head, /6\.6\.6\.6/);
    assert.equal(valueOf(got, "host"), backend.origin.slice("http://".length));
    assert.equal(
      valueOf(got, "content-length") !== undefined && /transfer-encoding/i.test(got.join()),
      false,
    );
  }
}

for (const [protocol, open] of Object.entries(OPEN)) {
  test(`${protocol}: what can be read in two ways is refused, or made readable in one (${HTTP1_ROWS.length} requests)`, async (t) => {
    for (const row of HTTP1_ROWS) {
      await t.test(row.what, async () => {
        backend.answers(echo);
        backend.raw.pending.fill("");
        const wire = await open();
        wire.send(row.send);
        if (row.refused !== undefined) {
          assert.equal((await wire.response()).status, row.refused);
          wire.socket.end();
          assert.equal(await wire.rest(), "", "no second response");
          assertSeen([]);
          assert.deepEqual(backend.raw.pending.filter((bytes) => bytes !== ""), []);
        } else if (row.seen !== undefined) {
          for (const { line } of row.seen) {
            const { status, body } = await wire.response();
            assert.equal(`${status} ${body}`, `200 ${line.split(" ")[1]}`);
          }
          wire.socket.end();
          assert.equal(await wire.rest(), "", "no further response");
          assertSeen(row.seen);
          assert.deepEqual(backend.raw.pending.filter((bytes) => bytes !== ""), []);
        } else {
          const answer = await wire.rest();
          assert.match(answer, /^$|^HTTP\/1\.1 400 /);
          assert.equal(answer.split("HTTP/1.1 ").length <= 2, true, "one response at most");
        }
        wire.close();
        if (row.broken) await stage.lanesIdle();
        await nextIsServed(await open());
        if (row.broken) assertSeen([]);
      });
    }
  });
}

/** A row of frames: what is sent on stream 1, or on the connection, after the greeting. */
interface Http2Row extends Expected {
  what: string;
  /** TLS server name; HOST where it is not there. */
  serverName?: string;
  send: (user: RawHttp2) => void;
}

const PSEUDO = { ":method": "GET", ":scheme": "https", ":authority": HOST, ":path": "/row" };
/** A head with these pseudo headers changed (undefined: left out), and then these lines. */
const head = (changed: Record<string, string | undefined>, ...lines: string[]): string[] => [
  ...Object.entries({ ...PSEUDO, ...changed }).flatMap(([name, value]) =>
    value === undefined ? [] : [name, value]
  ),
  ...lines,
];
const asked = (changed: Record<string, string | undefined>, ...lines: string[]) => (user: RawHttp2) =>
  user.headers(1, head(changed, ...lines));
const raw = (...list: string[]) => (user: RawHttp2) => user.headers(1, list);
const ALL = Object.entries(PSEUDO).flat();
const data = (bytes: string, end = true) => frame(FRAME.data, end ? FLAG.endStream : 0, 1, bytes);
const uploaded = (length: string | undefined, ...pieces: Uint8Array[]) => (user: RawHttp2) => {
  user.headers(
    1,
    head({ ":method": "POST" }, ...(length === undefined ? [] : ["content-length", length])),
    false,
  );
  for (const piece of pieces) user.send(piece);
};
const trailers = (...list: string[]) =>
  frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, headerBlock(list));
const refused2 = (status: number, rows: Record<string, Http2Row["send"]>): Http2Row[] =>
  Object.entries(rows).map(([what, send]) => ({ what, send, refused: status }));

/** Rows whose request goes on without the field that is not well-formed. */
const dropped = (rows: Record<string, Http2Row["send"]>): Http2Row[] =>
  Object.entries(rows).map(([what, send]) => ({ what, send, seen: [{ ...ROW, headers: WITHOUT }] }));
const WITHOUT = { "x-a": undefined, "x-b": undefined, "x a": undefined, "": undefined };

/** `refused: 0` stands for a reset of the stream or the end of the connection, before anything was seen. */
const HTTP2_ROWS: Http2Row[] = [
  ...refused2(0, {
    // Fields: RFC 9113 section 8.2.
    "a name in capitals": asked({}, "X-A", "1"),
    "Transfer-Encoding": asked({ ":method": "POST" }, "transfer-encoding", "chunked"),
    "Connection": asked({}, "connection", "keep-alive"),
    "Keep-Alive": asked({}, "keep-alive", "timeout=5"),
    "Proxy-Connection": asked({}, "proxy-connection", "keep-alive"),
    "Upgrade": asked({}, "upgrade", "websocket"),
    "TE other than trailers": asked({}, "te", "gzip"),
    // Pseudo headers: RFC 9113 section 8.3.
    "two methods": raw(...ALL, ":method", "POST"),
    "two paths": raw(...head({}), ":path", "/smuggled"),
    "two authorities": raw(
      ":method",
      "GET",
      ":scheme",
      "https",
      ":authority",
      HOST,
      ":authority",
      OTHER,
      ":path",
      "/row",
    ),
    "two schemes": raw(
      ":method",
      "GET",
      ":scheme",
      "https",
      ":scheme",
      "http",
      ":authority",
      HOST,
      ":path",
      "/row",
    ),
    "a pseudo header after the others": raw(
      ":method",
      "GET",
      ":scheme",
      "https",
      ":authority",
      HOST,
      "x-a",
      "1",
      ":path",
      "/row",
    ),
    "a pseudo header that nobody knows": asked({ ":smuggled": "1" }),
    "a pseudo header of responses": asked({ ":status": "200" }),
    "no method": asked({ ":method": undefined }),
    "no path": asked({ ":path": undefined }),
    "no scheme": asked({ ":scheme": undefined }),
    "neither authority nor Host": asked({ ":authority": undefined }),
    "an empty path": asked({ ":path": "" }),
    "an empty method": asked({ ":method": "" }),
    "a method with a space": asked({ ":method": "GET /smuggled HTTP/1.1" }),
    "a method with a CR LF": asked({ ":method": "GET /smuggled HTTP/1.1\r\nx-a:" }),
    "a path with a CR LF": asked({ ":path": "/row HTTP/1.1\r\nX-A: 1" }),
    "an authority with a CR LF": asked({ ":authority": `${HOST}\r\nX-A: 1` }),
    // Content-Length: RFC 9113 section 8.1.1.
    "two Content-Lengths": asked({ ":method": "POST" }, "content-length", "0", "content-length", "5"),
    "a Content-Length that is none": uploaded("+5", data("hello")),
    "a Content-Length as a list": uploaded("5, 5", data("hello")),
    "a Content-Length without a body": asked({ ":method": "POST" }, "content-length", "5"),
    // Frames: RFC 9113 sections 5 and 6.
    "a body before its head": (user) => user.send(data("hello")),
    "a stream of the server": (user) => user.headers(2, ALL),
    "a head on the connection": (user) => user.headers(0, ALL),
    "a continuation of another stream": (user) => {
      user.send(frame(FRAME.headers, FLAG.endStream, 1, headerBlock(ALL)));
      user.send(frame(FRAME.continuation, FLAG.endHeaders, 3, headerBlock(["x-a", "1"])));
    },
    "a block that ends within a field": (user) =>
      user.send(
        frame(
          FRAME.headers,
          FLAG.endStream | FLAG.endHeaders,
          1,
          headerBlock([...ALL, "x-a", "1"]).subarray(0, -1),
        ),
      ),
    "HTTP/1.1 on a connection of HTTP/2": (user) => user.send(get()),
    "a push promise": (user) => user.send(frame(5, FLAG.endHeaders, 1, headerBlock(ALL))),
    // Targets and hosts: RFC 9113 section 8.3.1.
    "a path with a space": asked({ ":path": "/row x" }),
    "a path with a version": asked({ ":path": "/row HTTP/1.1" }),
    "a path without a slash": asked({ ":path": "row" }),
    "an absolute path": asked({ ":path": `https://${HOST}/row` }),
    "an absolute path with another host": asked({ ":path": `https://${OTHER}/row` }),
    "two Hosts": asked({ ":authority": undefined }, "host", HOST, "host", OTHER),
    "two Hosts beside the authority": asked({}, "host", HOST, "host", OTHER),
    "an authority with user information": asked({ ":authority": `evil.test@${HOST}` }),
    "an authority with a space": asked({ ":authority": `${HOST} evil.test` }),
    "an authority with a path": asked({ ":authority": `${HOST}/smuggled` }),
    "an empty authority": asked({ ":authority": "" }),
  }),
  // The HTTP/2 library leaves such a field out and lets the rest pass.
  ...dropped({
    "a CR LF in a value": asked({}, "x-a", "1\r\nX-B: 2"),
    "a request in a value": asked({}, "x-a", `1\r\n\r\n${SMUGGLED}`),
    "a bare LF in a value": asked({}, "x-a", "1\nX-B: 2"),
    "a bare CR in a value": asked({}, "x-a", "1\rX-B: 2"),
    "a NUL in a value": asked({}, "x-a", "1\x002"),
    "a control character in a value": asked({}, "x-a", "1\x012"),
    "a CR LF in a name": asked({}, "x-a: 1\r\nx-b", "2"),
    "a colon in a name": asked({}, "x-a:", "1"),
    "a space in a name": asked({}, "x a", "1"),
    "a NUL in a name": asked({}, "x\x00a", "1"),
    "an empty name": asked({}, "", "1"),
    "a name beyond ASCII": asked({}, "x-\xe4", "1"),
  }),
  ...refused2(400, {
    "a path with a fragment": asked({ ":path": "/row#x" }),
    "a path beyond ASCII": asked({ ":path": "/r\xf6w" }),
    "a path above the root": asked({ ":path": "/../row" }),
    "another Host than the authority": asked({}, "host", OTHER),
    "an authority with a comma": asked({ ":authority": `${HOST},${OTHER}` }),
    "an authority with a port that is none": asked({ ":authority": `${HOST}:x` }),
  }),
  ...refused2(405, { "CONNECT": asked({ ":method": "CONNECT", ":scheme": undefined, ":path": undefined }) }),
  ...refused2(421, { "the tunnel's name as authority": asked({ ":authority": TUNNEL }) }),
  {
    what: "an authority that the certificate of the server name is not for",
    serverName: "enrol.sallyport.internal",
    send: asked({}),
    refused: 421,
  },
  ...["4", "6", "0"].map((length): Http2Row => ({
    what: `a Content-Length of ${length} before 5 bytes`,
    send: uploaded(length, data("hello")),
    broken: true,
  })),
  {
    what: "a Content-Length that more frames exceed",
    send: uploaded("5", data("hel", false), data("lo more")),
    broken: true,
  },
  {
    what: "a pseudo header in the trailers",
    send: uploaded(undefined, data("hello", false), trailers(":path", "/smuggled")),
    broken: true,
  },
  ...["content-length", "transfer-encoding"].map((name): Http2Row => ({
    what: `${name} in the trailers`,
    send: uploaded(undefined, data("hello", false), trailers(name, "3")),
    broken: true,
  })),
  {
    what: "a CR LF in a trailer",
    send: uploaded(undefined, data("hello", false), trailers("x-a", `1\r\n\r\n${SMUGGLED}`)),
    seen: [{ line: "POST /row HTTP/1.1", body: HELLO }],
  },
  {
    what: "trailers that do not end the stream",
    send: uploaded(
      undefined,
      data("hello", false),
      frame(FRAME.headers, FLAG.endHeaders, 1, headerBlock(["x-a", "1"])),
      data("x"),
    ),
    broken: true,
  },
  { what: "an ordinary request", send: asked({}), seen: [ROW] },
  {
    what: "a request with Host and no authority",
    send: asked({ ":authority": undefined }, "host", HOST),
    seen: [{ ...ROW, headers: { "x-forwarded-host": HOST } }],
  },
  { what: "the same Host beside the authority", send: asked({}, "host", HOST), seen: [ROW] },
  { what: "a name of the same certificate", send: asked({ ":authority": OTHER }), seen: [ROW] },
  { what: "TE: trailers", send: asked({}, "te", "trailers"), seen: [{ ...ROW, headers: { te: undefined } }] },
  {
    what: "a body without a length that holds a request",
    send: uploaded(undefined, data(SMUGGLED)),
    seen: [{
      line: "POST /row HTTP/1.1",
      headers: { "transfer-encoding": "chunked", "content-length": undefined },
      body: `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    }],
  },
  {
    what: "a body with a length that holds a request",
    send: uploaded(String(SMUGGLED.length), data(SMUGGLED)),
    seen: [{
      line: "POST /row HTTP/1.1",
      headers: { "content-length": String(SMUGGLED.length) },
      body: SMUGGLED,
    }],
  },
  {
    what: "a body that holds the end of one in chunks",
    send: uploaded(undefined, data(`0\r\n\r\n${SMUGGLED}`)),
    seen: [{
      line: "POST /row HTTP/1.1",
      body: `${(5 + SMUGGLED.length).toString(16)}\r\n0\r\n\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    }],
  },
  {
    what: "trailers that speak of forwarded facts",
    send: uploaded(
      undefined,
      data("hello", false),
      trailers(
        "host",
        "evil.test",
        "x-forwarded-for",
        "6.6.6.6",
        "x_forwarded_for",
        "6.6.6.6",
      ),
    ),
    seen: [{ line: "POST /row HTTP/1.1", body: HELLO }],
  },
  {
    what: "names that become those of forwarded facts where servers take `-` for `_`",
    send: asked({}, "x_forwarded_for", "6.6.6.6", "x.real.ip", "6.6.6.6", "transfer_encoding", "chunked"),
    seen: [{
      ...ROW,
      headers: { x_forwarded_for: undefined, "x.real.ip": undefined, transfer_encoding: undefined },
    }],
  },
];

test(`HTTP/2: what can be read in two ways is refused, or made readable in one (${HTTP2_ROWS.length} requests)`, async (t) => {
  for (const row of HTTP2_ROWS) {
    await t.test(row.what, async () => {
      backend.answers(echo);
      backend.raw.pending.fill("");
      const port = stage.tlsPort;
      const own = {
        servername: row.serverName ?? HOST,
        ca: stage.ca,
        rejectUnauthorized: row.serverName === undefined,
      };
      const user = await RawHttp2.open({ port, ...own });
      row.send(user);
      const { status, body, end } = await user.outcome(1);
      if (row.seen !== undefined) {
        assert.equal(`${status} ${body} ${end}`, `200 /row response`);
        assertSeen(row.seen);
      } else {
        assert.equal(status, row.broken ? 0 : row.refused);
        if (status === 0) assert.notEqual(end, "response");
        if (!row.broken) assertSeen([]);
      }
      if (!row.broken) assert.deepEqual(backend.raw.pending.filter((bytes) => bytes !== ""), []);
      user.close();
      if (row.broken) await stage.lanesIdle();
      const next = await RawHttp2.open({ port, servername: HOST, ca: stage.ca });
      const target = `/next-${requests++}`;
      next.headers(1, head({ ":path": target }));
      assert.deepEqual(await next.outcome(1), { status: 200, body: target, end: "response", code: 0 });
      next.close();
      if (row.broken) assertSeen([]);
    });
  }
});
