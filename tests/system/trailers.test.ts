import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { bodyOf, Http2Backend } from "../support/http2_backend.ts";
import { http2User } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { Wire } from "../support/wire.ts";

const HTTP1 = "trailers-http1.example.test";
const HTTP2 = "trailers-http2.example.test";

/** What the backend saw of the last request. */
interface Seen {
  body: string;
  trailers: string[];
  te: string | undefined;
}

let seen: Seen;
let stage: IngressStage;
let http1: Server;
let http2: Http2Backend;

before(async () => {
  http1 = createServer(async (req, res) => {
    let body = "";
    for await (const chunk of req.setEncoding("latin1")) body += chunk;
    seen = { body, trailers: req.rawTrailers, te: req.headers.te as string | undefined };
    res.writeHead(200, { Trailer: "X-Answer" });
    res.write("ok");
    res.addTrailers([["X-Answer", "1"], ["X-Answer", "2"]]);
    res.end();
  });
  http1.listen(0, "127.0.0.1");
  await once(http1, "listening");
  http2 = await Http2Backend.start();
  http2.answer = async ({ stream, headers }) => {
    let trailers: string[] = [];
    stream.on("trailers", (_headers, _flags, raw: string[]) => trailers = raw);
    const body = await bodyOf(stream);
    seen = { body, trailers, te: headers.te as string | undefined };
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-answer": ["1", "2"] }));
    stream.end("ok");
  };
  stage = await ingressStage();
  const origin = `http://127.0.0.1:${(http1.address() as AddressInfo).port}`;
  await stage.publish("http1", [`http://${HTTP1}`, `https://${HTTP1}`], origin);
  await stage.publish("http2", [`http://${HTTP2}`, `https://${HTTP2}`], http2.origin, {
    backendProtocol: "h2c",
  });
});

after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await http2?.[Symbol.asyncDispose]();
  http1?.close();
  http1?.closeAllConnections();
});

/** Names in lower case, values as they are. */
const lower = (list: readonly string[]) => list.map((text, i) => i % 2 === 0 ? text.toLowerCase() : text);

for (const host of [HTTP1, HTTP2]) {
  const backend = host === HTTP1 ? "HTTP/1.1" : "HTTP/2";

  test(`trailers: of an HTTP/1.1 user to a backend of ${backend}, and back`, async () => {
    const wire = await Wire.plain(stage.plainPort);
    wire.send(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n` +
        "Trailer: X-Sum\r\nConnection: TE, close\r\n\r\n" +
        "3\r\nabc\r\n0\r\nX-Sum: 6\r\nx-sum: 7\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n",
    );
    const bytes = await wire.rest();
    assert.deepEqual({ ...seen, trailers: lower(seen.trailers) }, {
      body: "abc",
      trailers: ["x-sum", "6", "x-sum", "7"],
      te: "trailers",
    });
    assert.match(bytes, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(bytes, /\r\n0\r\nx-answer: 1\r\nx-answer: 2\r\n\r\n$/i);
  });

  for (const length of [undefined, "3"]) {
    const how = length === undefined ? "" : ", with a length";
    test(`trailers: of an HTTP/2 user${how} to a backend of ${backend}, and back`, async () => {
      const session = await http2User({ port: stage.tlsPort, servername: host, ca: stage.ca });
      const stream = session.request({
        ":method": "POST",
        ":path": "/",
        ":authority": host,
        te: "trailers",
        trailer: "x-sum",
        ...(length === undefined ? {} : { "content-length": length }),
      }, { endStream: false, waitForTrailers: true } as object);
      stream.on(
        "wantTrailers",
        () => stream.sendTrailers({ "x-sum": ["6", "7"], "x-forwarded-for": "1.1.1.1" }),
      );
      stream.end("abc");
      let trailers: string[] = [];
      stream.on("trailers", (_headers, _flags, raw: string[]) => trailers = raw);
      let body = "";
      for await (const chunk of stream.setEncoding("latin1")) body += chunk;
      assert.deepEqual({ ...seen, trailers: lower(seen.trailers) }, {
        body: "abc",
        trailers: ["x-sum", "6", "x-sum", "7"],
        te: "trailers",
      });
      assert.equal(body, "ok");
      assert.deepEqual(lower(trailers), ["x-answer", "1", "x-answer", "2"]);
      session.destroy();
    });
  }
}
