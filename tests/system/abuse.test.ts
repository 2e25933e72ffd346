/**
 * Attacks on the ingress: while each of them runs, every request of a normal user is answered, memory stays bounded, and
 * the metrics say afterwards what ended the attacker's connections.
 */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { Attacked, ATTACKER, COUNTED_MS, gone, HOST, many } from "../support/attacked.ts";
import type { IngressStage } from "../support/ingress_stage.ts";
import { FLAG, FRAME, frame, headerBlock } from "../support/raw_http2.ts";
import type { EndCause } from "../../src/broker/metrics/end_causes.ts";
import { until } from "../support/until.ts";

const PER_SOURCE = 100;

let attacked: Attacked;
let stage: IngressStage;

before(async () => {
  attacked = await Attacked.start(
    ...["--hello-timeout-ms", "1000"],
    ...["--request-head-timeout-ms", "1000"],
    ...["--user-idle-timeout-ms", "1500"],
    ...["--max-user-connections-per-source", String(PER_SOURCE)],
  );
  stage = attacked.stage;
});
after(async () => {
  await attacked?.[Symbol.asyncDispose]();
});

const series = (cause: EndCause) => `sallyport_ingress_connections_ended_total{cause="${cause}"}`;
const ended = (cause: EndCause) => stage.metric(series(cause));
const dial = (port: number) => attacked.dial(port);
const raw = () => attacked.dial2();

/** Runs an attack beside a normal user; afterwards at least `count` connections have ended for one of `causes`. */
function attack(what: string, causes: EndCause[], count: number, run: () => Promise<void>): void {
  test(what, () => attacked.withstand(causes.map(series), count, run));
}

/** Sends a byte whenever the one before has had some time, until the other side ends the connection. */
async function trickle(socket: Socket, text: string): Promise<void> {
  const timer = setInterval(() => socket.writable && socket.write(text), 50);
  await gone(socket);
  clearInterval(timer);
}

/** The first bytes that a TLS client sends. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connectTls({
    port: (server.address() as { port: number }).port,
    host: "127.0.0.1",
    servername: HOST,
  });
  client.on("error", () => {});
  const [socket] = await once(server, "connection") as [Socket];
  const [bytes] = await once(socket, "data") as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

attack("heads that come a byte at a time", ["head_timeout"], 40, async () => {
  await many(40, async () => {
    const socket = await dial(stage.plainPort);
    socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nX-A: `);
    await trickle(socket, "a");
  });
});

attack("connections that say nothing", ["head_timeout"], 40, async () => {
  await many(40, async () => gone(await dial(stage.plainPort)));
});

attack("HTTP/2 connections that ask for nothing", ["head_timeout"], 40, async () => {
  await many(40, async () => void await (await raw()).closed());
});

attack("HTTP/2 heads that never end", ["head_timeout"], 20, async () => {
  await many(20, async () => {
    const user = await raw();
    if (!await user.pinged()) return; // Too late: it does not count.
    user.send(frame(FRAME.headers, 0, 1, headerBlock([":method", "GET"])));
    await user.closed();
  });
});

attack("ClientHellos that never end", ["hello_timeout"], 40, async () => {
  const hello = await clientHello();
  await many(40, async () => {
    const socket = await dial(stage.tlsPort);
    socket.write(hello.subarray(0, 40));
    await gone(socket);
  });
});

attack("what is no ClientHello", ["hello_malformed"], 40, async () => {
  await many(40, async () => {
    const socket = await dial(stage.tlsPort);
    socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await gone(socket);
  });
});

attack("TLS handshakes that never end", ["tls_handshake"], 40, async () => {
  const hello = await clientHello();
  await many(40, async () => {
    const socket = await dial(stage.tlsPort);
    socket.write(hello);
    await gone(socket);
  });
});

attack("idle connections", ["idle"], 40, async () => {
  await many(20, async () => {
    const socket = await dial(stage.plainPort);
    socket.write(`GET /idle HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    await gone(socket);
  });
  await many(20, async () => {
    const user = await raw();
    user.headers(1, ASKED);
    await user.closed();
  });
});

attack("responses that nobody reads, on connections that stay", ["idle"], 20, async () => {
  const sockets = await many(20, () => dial(stage.plainPort));
  try {
    const counted = await ended("idle");
    for (const socket of sockets) {
      socket.pause();
      socket.write(`GET /large HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    }
    // What was written is the kernel's: no exchange waits for it.
    await stage.lanesIdle();
    await until("20 idle connections were ended", async () => await ended("idle") >= counted + 20, {
      withinMs: COUNTED_MS,
    });
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});

attack("bodies that stop after they were refused", ["idle"], 20, async () => {
  await many(20, async () => {
    const socket = await dial(stage.plainPort);
    socket.write("POST / HTTP/1.1\r\nHost: nobody.example.test\r\nContent-Length: 1000\r\n\r\nabc");
    await gone(socket);
  });
});

attack("heads that are too large", ["head_too_large"], 10, async () => {
  await many(10, async () => {
    const socket = await dial(stage.plainPort);
    socket.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\nX-A: ${"a".repeat(200_000)}\r\n\r\n`);
    await gone(socket);
  });
});

attack("more connections than one source may have", ["too_many_of_source"], 100, async () => {
  await many(2 * PER_SOURCE, async () => {
    const socket = connect({ port: stage.plainPort, host: "127.0.0.1", localAddress: ATTACKER });
    socket.on("error", () => {});
    await gone(socket.resume());
  });
});

const ASKED = [":method", "GET", ":scheme", "https", ":authority", HOST, ":path", "/asked"];
const POSTED = [":method", "POST", ":scheme", "https", ":authority", HOST, ":path", "/posted"];
const times = (count: number, bytes: Uint8Array) => Buffer.concat(Array.from({ length: count }, () => bytes));

/** Which limit is met first depends on what of the pieces comes together. */
const ANY: EndCause[] = ["http2_flood", "http2_ping_flood", "http2_protocol_error"];

/** Sends pieces on a few connections each, until the broker has had enough; fails when it never has. */
function flood(what: string, causes: EndCause[], piece: (round: number) => Uint8Array): void {
  attack(`HTTP/2: ${what}`, causes, 5, async () => {
    await many(5, async () => {
      const user = await raw();
      let round = 0;
      for (; !user.over && round < 400; round++) {
        if (!user.send(piece(round))) await user.drained();
        else await new Promise((resolve) => setImmediate(resolve));
      }
      await user.closed();
    });
  });
}

const stream = (round: number) => 2 * round + 1;
flood("rapid reset", ANY, (round) =>
  Buffer.concat(
    Array.from({ length: 20 }, (_, i) => [
      frame(FRAME.headers, FLAG.endHeaders, stream(20 * round + i), headerBlock(POSTED)),
      frame(FRAME.reset, 0, stream(20 * round + i), Uint8Array.of(0, 0, 0, 8)),
    ]).flat(),
  ));
flood(
  "streams that are not well-formed",
  ANY,
  (round) =>
    Buffer.concat(Array.from({ length: 20 }, (_, i) =>
      frame(
        FRAME.headers,
        FLAG.endHeaders | FLAG.endStream,
        stream(20 * round + i),
        headerBlock([...ASKED, "X-A", "1"]),
      ))),
);
flood(
  "CONTINUATION frames",
  ANY,
  (round) =>
    round === 0
      ? frame(FRAME.headers, 0, 1, headerBlock(ASKED))
      : times(20, frame(FRAME.continuation, 0, 1, headerBlock(["x-a", "b".repeat(100)]))),
);
flood(
  "empty CONTINUATION frames",
  ANY,
  (round) =>
    round === 0 ? frame(FRAME.headers, 0, 1, headerBlock(ASKED)) : times(20, frame(FRAME.continuation, 0, 1)),
);
flood(
  "empty DATA frames",
  ANY,
  (round) =>
    round === 0
      ? frame(FRAME.headers, FLAG.endHeaders, 1, headerBlock(POSTED))
      : times(20, frame(FRAME.data, 0, 1)),
);
flood(
  "PRIORITY frames",
  ANY,
  () => times(50, frame(FRAME.priority, 0, 1, Uint8Array.of(0, 0, 0, 3, 10))),
);
flood(
  "frames that nobody knows",
  ANY,
  () => times(50, frame(0xbb, 0, 0, "12345678")),
);
flood("PING frames", ANY, () => times(50, frame(FRAME.ping, 0, 0, "12345678")));
flood(
  "SETTINGS frames",
  ANY,
  () => times(50, frame(FRAME.settings, 0, 0, Uint8Array.of(0, 3, 0, 0, 0, 100))),
);
flood(
  "PING frames whose answers nobody reads",
  ANY,
  () => times(500, frame(FRAME.ping, 0, 0, "12345678")),
);
flood(
  "acknowledgements of nothing",
  ANY,
  () => times(50, frame(FRAME.settings, FLAG.ack, 0)),
);
/** One field of 4,000 bytes enters the table, and each further byte stands for it. */
const BOMB = Buffer.concat([
  headerBlock(ASKED),
  Uint8Array.of(0x40, 1, 0x61, 0x7f, 0x81, 0x1f),
  Buffer.alloc(4_096, 0x62),
  Buffer.alloc(10_000, 0xbe),
]);
flood(
  "header lists that swell",
  ANY,
  (round) => frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream(round), BOMB),
);

attack("HTTP/2: WINDOW_UPDATE frames", [], 0, async () => {
  await many(5, async () => {
    const user = await raw();
    user.headers(1, ASKED);
    for (let round = 0; round < 500 && !user.over; round++) {
      if (!user.send(times(100, frame(FRAME.windowUpdate, 0, 0, Uint8Array.of(0, 0, 0, 1))))) {
        await user.drained();
      }
    }
    user.close();
  });
});
