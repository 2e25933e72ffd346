/**
 * Users who are slow on purpose, in the middle of requests and responses: while each attack runs, every request of a normal
 * user is answered, memory stays bounded, and the metrics say afterwards how many were sent away.
 */
import { after, before, test } from "node:test";
import { Attacked, gone, HOST, many, NormalUser } from "../support/attacked.ts";
import { FRAME, frame } from "../support/raw_http2.ts";
import { until } from "../support/until.ts";

const SENT_AWAY = 'sallyport_errors_total{code="user_idle"}';

let attacked: Attacked;

before(async () => {
  // What exchanges may hold is to be well within what the broker may grow by.
  attacked = await Attacked.start(
    "--user-idle-ms",
    "1500",
    "--exchange-memory-bytes",
    String(64 * 1024 * 1024),
  );
});
after(async () => {
  await attacked?.[Symbol.asyncDispose]();
});

/** Runs an attack; afterwards at least `count` users more were sent away. */
function attack(what: string, count: number, run: () => Promise<void>): void {
  test(what, () => attacked.withstand([SENT_AWAY], count, run));
}

/** Resolves when so many users more than `before` were sent away. */
async function sentAway(before: number, count: number): Promise<void> {
  await until(
    `${count} users were sent away`,
    async () => await attacked.stage.metric(SENT_AWAY) >= before + count,
  );
}

/** Does something so many times, with a moment between. */
async function slowly(times: number, what: () => void): Promise<void> {
  for (let i = 0; i < times; i++) {
    what();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const head = (method: string, path: string) => [
  ...[":method", method, ":scheme", "https", ":authority", HOST, ":path", path],
];

for (const framing of ["Content-Length: 100000", "Transfer-Encoding: chunked"]) {
  attack(`bodies that come a byte at a time and then no more (${framing})`, 40, async () => {
    await many(40, async () => {
      const socket = await attacked.dial(attacked.stage.plainPort);
      socket.write(`POST /posted HTTP/1.1\r\nHost: ${HOST}\r\n${framing}\r\n\r\n`);
      await slowly(20, () => socket.write(framing.startsWith("C") ? "a" : "1\r\na\r\n"));
      await gone(socket);
    });
  });
}

attack("HTTP/2: bodies that come a byte at a time and then no more", 200, async () => {
  await many(5, async () => {
    const user = await attacked.dial2();
    const streams = Array.from({ length: 40 }, (_, i) => 2 * i + 1);
    for (const stream of streams) user.headers(stream, head("POST", "/posted"), false);
    await slowly(20, () => {
      for (const stream of streams) user.send(frame(FRAME.data, 0, stream, "a"));
    });
    for (const stream of streams) await user.outcome(stream);
    user.close();
  });
});

// Who has much to read has long for it: what is bounded is what they hold meanwhile.
attack("large responses that nobody reads", 0, async () => {
  const sockets = await many(40, () => attacked.dial(attacked.stage.plainPort));
  for (const socket of sockets) {
    socket.pause();
    socket.write(`GET /huge HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  }
  const user = new NormalUser(attacked.stage);
  await until("a user had 20 answers", () => user.answers >= 20);
  await user.stop();
  for (const socket of sockets) socket.destroy();
});

attack("HTTP/2: windows that never open", 500, async () => {
  const users = await many(5, () => attacked.dial2(NO_WINDOW));
  const streams = Array.from({ length: 100 }, (_, i) => 2 * i + 1);
  for (const user of users) for (const stream of streams) user.headers(stream, head("GET", "/large"));
  for (const user of users) for (const stream of streams) await user.outcome(stream);
  for (const user of users) user.close();
});

attack("HTTP/2: windows that open a byte at a time", 100, async () => {
  const before = await attacked.stage.metric(SENT_AWAY);
  const users = await many(5, () => attacked.dial2(NO_WINDOW));
  const streams = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
  for (const user of users) for (const stream of streams) user.headers(stream, head("GET", "/large"));
  const timer = setInterval(() => {
    for (const user of users) {
      for (const stream of streams) {
        user.send(frame(FRAME.windowUpdate, 0, stream, Uint8Array.of(0, 0, 0, 1)));
      }
    }
  }, 50);
  await sentAway(before, 100).finally(() => clearInterval(timer));
  for (const user of users) user.close();
});

/** SETTINGS_INITIAL_WINDOW_SIZE 0. */
const NO_WINDOW = [0, 4, 0, 0, 0, 0];
