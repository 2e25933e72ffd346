/**
 * What a backend answers that lies, is broken or is hostile: its user gets 502 or a connection that breaks, never a
 * response that is wrong, cut without a sign or another one's; and whoever asks next gets the answer to that.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { http2User, request2 } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { MALFORMED_CHUNKS } from "../support/malformed_chunks.ts";
import { answerOk, type RawRequest } from "../support/raw_backend.ts";
import { type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { Wire } from "../support/wire.ts";

const HOST = "hostile.example.test";

let stage: IngressStage;
let backend: StagedBackend;

before(async () => {
  stage = await ingressStage();
  backend = await stagedBackend(() => {});
  await stage.publish("hostile", [`http://${HOST}`, `https://${HOST}`], backend.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

/**
 * What the user must get: the status of a refusal, or a break, or just this body. `or502`: a break or 502, as the pieces may
 * come.
 */
type Expected = 502 | "or502" | { body: string; orBroken?: true };

interface Row {
  what: string;
  answer: string | ((socket: Socket) => void);
  expected: Expected;
}

const SPLICED = answerOk("spliced");
const response = (...lines: string[]) => ["HTTP/1.1 200 OK", ...lines, "", ""].join("\r\n");
const chunked = (body: string) => response("Transfer-Encoding: chunked") + body;
const rows = (expected: Expected, answers: Record<string, Row["answer"]>): Row[] =>
  Object.entries(answers).map(([what, answer]) => ({ what, answer, expected }));
const HELLO = "5\r\nhello\r\n0\r\n\r\n";
/** Bytes, then the end of the connection. */
const ending = (bytes: string) => (socket: Socket) => void socket.end(bytes, "latin1");
/** Bytes, and a reset once they have surely left. */
const resetting = (bytes: string) => (socket: Socket) =>
  void socket.write(bytes, "latin1", () => socket.resetAndDestroy());

const ROWS: Row[] = [
  ...rows(502, {
    "Content-Length and Transfer-Encoding": response("Content-Length: 3", "Transfer-Encoding: chunked") +
      HELLO,
    "Transfer-Encoding and Content-Length": response("Transfer-Encoding: chunked", "Content-Length: 3") +
      HELLO,
    "two Content-Lengths": response("Content-Length: 5", "Content-Length: 3") + "hello",
    "two equal Content-Lengths": response("Content-Length: 5", "Content-Length: 5") + "hello",
    "Content-Length as a list": response("Content-Length: 5, 5") + "hello",
    "Content-Length with a plus": response("Content-Length: +5") + "hello",
    "Content-Length with a minus": response("Content-Length: -5") + "hello",
    "Content-Length in hexadecimal": response("Content-Length: 0x5") + "hello",
    "Content-Length beyond 64 bits": response("Content-Length: 18446744073709551621") + "hello",
    "an empty Content-Length": response("Content-Length:") + "hello",
    "a head of bare LFs": "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "a bare LF after a value": "HTTP/1.1 200 OK\r\nX-A: 1\nX-B: 2\r\nContent-Length: 5\r\n\r\nhello",
    "a bare CR in a value": response("X-A: 1\rX-B: 2", "Content-Length: 5") + "hello",
    "a folded line": response("X-A: 1", " 2", "Content-Length: 5") + "hello",
    "a NUL in a value": response("X-A: 1\x002", "Content-Length: 5") + "hello",
    "a space in a name": response("X A: 1", "Content-Length: 5") + "hello",
    "a space before a colon": response("X-A : 1", "Content-Length: 5") + "hello",
    "a NUL in a name": response("X\x00A: 1", "Content-Length: 5") + "hello",
    "a line without a colon": response("X-A", "Content-Length: 5") + "hello",
    "a 101 that nobody asked for":
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + SPLICED,
    "HTTP/0.9": ending("hello"),
    "an empty answer": ending(""),
    "a reset before the head": resetting(""),
    "half a head": ending("HTTP/1.1 200 OK\r\nContent-Le"),
    "a reset within the head": resetting("HTTP/1.1 200 OK\r\nContent-Le"),
    "a head of 70 KiB": response(`X-A: ${"a".repeat(70_000)}`, "Content-Length: 5") + "hello",
    "a head of 100,000 lines": response(..."a:1 ".repeat(100_000).trim().split(" ")) + "hello",
    "a line without an end": (socket) =>
      void socket.write(`HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(1_000_000)}`),
    "HTTP/9.9": "HTTP/9.9 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status of two digits": "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status of four digits": "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status of letters": "HTTP/1.1 abc OK\r\nContent-Length: 5\r\n\r\nhello",
    "a status of zeros": "HTTP/1.1 000 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a bare CR in the reason": "HTTP/1.1 200 OK\rX-A: 1\r\nContent-Length: 5\r\n\r\nhello",
    "a request for an answer": `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`,
    "TLS for an answer": "\x15\x03\x01\x00\x02\x02\x28",
    "10,000 informational heads": "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(10_000) +
      answerOk("hello"),
    "informational heads without end": (socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000)));
      };
      socket.on("drain", more);
      more();
    },
  }),
  ...rows("or502", {
    "Transfer-Encoding gzip": response("Transfer-Encoding: gzip") + HELLO,
    "Transfer-Encoding gzip, chunked": response("Transfer-Encoding: gzip, chunked") + HELLO,
    "Transfer-Encoding chunked, gzip": response("Transfer-Encoding: chunked, gzip") + HELLO,
    "Transfer-Encoding xchunked": response("Transfer-Encoding: xchunked") + HELLO,
    "Transfer-Encoding chunked, twice": response("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") +
      HELLO,
    "Transfer-Encoding identity": response("Transfer-Encoding: identity") + "hello",
    ...Object.fromEntries(
      Object.entries(MALFORMED_CHUNKS).map(([what, body]) => [what, chunked(body + SPLICED)]),
    ),
    "no last chunk": (socket) => void socket.end(chunked("5\r\nhello\r\n"), "latin1"),
    "half a chunk": (socket) => void socket.end(chunked("5\r\nhel"), "latin1"),
    "no end of the trailers": (socket) => void socket.end(chunked("5\r\nhello\r\n0\r\nX-A: 1\r\n"), "latin1"),
    "a body that is too short": ending(response("Content-Length: 50") + "hello"),
    "a reset within a body of known length": resetting(response("Content-Length: 50") + "hello"),
    "a reset within a chunked body": resetting(chunked("5\r\nhello\r\n")),
    "a reset within a body without length": resetting(response("Connection: close") + "hello"),
  }),
  ...rows({ body: "hello" }, {
    "another response behind the first": answerOk("hello") + SPLICED,
    "another response behind chunks": chunked(HELLO) + SPLICED,
    "another response behind an informational one": "HTTP/1.1 103 Early Hints\r\n\r\n" + answerOk("hello") +
      SPLICED,
    "trailers that speak of framing": chunked("5\r\nhello\r\n0\r\nX-A: 1\r\nConnection: X-A\r\n\r\n"),
    "names with underscores":
      response("Transfer_Encoding: chunked", "Content_Length: 50", "Content-Length: 5") + "hello",
    "HTTP/2.0 for a version": "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "100 informational heads": "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100) + answerOk("hello"),
    "chunk extensions": chunked("5;a=b\r\nhello\r\n0;c\r\n\r\n"),
    "HTTP/1.0 without a length": ending("HTTP/1.0 200 OK\r\n\r\nhello"),
  }),
  // Whether the parser comes to what is too much before the end was told depends on the pieces.
  {
    what: "a body that is too long",
    answer: response("Content-Length: 5") + "hello, spliced",
    expected: { body: "hello", orBroken: true },
  },
  ...rows({ body: "" }, {
    "a body behind 204": "HTTP/1.1 204 No Content\r\n\r\n" + SPLICED,
    "a body behind 304": "HTTP/1.1 304 Not Modified\r\n\r\n" + SPLICED,
  }),
];

/** What a user got, in one form for all protocols. */
interface Got {
  status: number;
  body: string;
  whole: boolean;
}

/** Ways to ask: those of the connector's two HTTP/1.1 clients, and both protocols of users. */
const USERS: Record<string, (target: string) => Promise<Got>> = {
  "HTTP/1.1": (target) => ask(`GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`),
  "HTTP/1.1 with a body": (target) =>
    ask(`POST ${target} HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n${HELLO}`),
  "HTTP/2": async (target) => {
    const session = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
    const { status, body, end } = await request2(session, { ":path": target, ":authority": HOST });
    session.destroy();
    return { status, body, whole: end === "end" };
  },
};

async function ask(bytes: string): Promise<Got> {
  const wire = await Wire.plain(stage.plainPort);
  wire.send(bytes);
  try {
    let got = await wire.response();
    while (got.status > 101 && got.status < 200) got = await wire.response();
    const { status, body, end } = got;
    return { status, body, whole: end !== "cut" };
  } catch {
    // Broken off before the head was out, which is kept for the first piece of the body.
    assert.equal(await wire.over(), "reset");
    return { status: 0, body: "", whole: false };
  } finally {
    wire.close();
  }
}

let asked = 0;

function check(got: Got, expected: Expected): void {
  const text = `${got.status} ${JSON.stringify(got.body.slice(0, 200))} ${got.whole ? "whole" : "cut"}`;
  if (typeof expected === "object") {
    if (expected.orBroken && !got.whole) return;
    assert.deepEqual([got.body, got.whole], [expected.body, true], text);
  } else if (got.status === 502) {
    assert.match(got.body, /backend_bad_response/);
  } else {
    assert.notEqual(expected, 502, text);
    assert.equal(got.whole, false, text);
  }
}

for (const [protocol, user] of Object.entries(USERS)) {
  test(`${protocol}: no answer of a backend reaches the wrong user, or passes for whole when it is not (${ROWS.length} answers)`, async (t) => {
    for (const { what, answer, expected } of ROWS) {
      await t.test(what, async () => {
        const row = `/row-${asked++}`;
        backend.answers(({ socket, head }: RawRequest) => {
          const target = head.split(" ")[1]!;
          if (target !== row) return void socket.write(answerOk(target), "latin1");
          if (typeof answer === "string") socket.write(answer, "latin1");
          else answer(socket);
        });
        check(await user(row), expected);
        // More than one: whichever connection to the backend is used again.
        for (let i = 0; i < 3; i++) {
          const target = `/next-${asked++}`;
          assert.deepEqual(await user(target), { status: 200, body: target, whole: true });
        }
      });
    }
    await stage.lanesIdle();
  });
}

for (const protocol of ["HTTP/1.1", "HTTP/1.1 with a body"]) {
  test(`${protocol}: a response on an idle connection ends the connection`, async () => {
    const user = USERS[protocol]!;
    for (let i = 0; i < 10; i++) {
      const used: Socket[] = [];
      backend.answers(({ socket, head }) => {
        used.push(socket);
        socket.write(answerOk(head.split(" ")[1]), "latin1");
      });
      const target = `/idle-${asked++}`;
      assert.deepEqual(await user(target), { status: 200, body: target, whole: true });
      const [socket] = used;
      socket!.write(SPLICED);
      if (!socket!.closed) await once(socket!, "close");
    }
    await stage.lanesIdle();
  });
}
