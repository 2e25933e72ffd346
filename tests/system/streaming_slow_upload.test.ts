/** What time limits an HTTP/1.1 user's request has: the head has one, the body has none in total. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { createPlain } from "../../src/broker/listener/plain.ts";
import { silentLog } from "../../src/platform/log.ts";
import { echoHandlers } from "../support/listener_client.ts";

const HEADERS_TIMEOUT_MS = 200;
/** How often the time for a head runs out while the upload goes on. */
const ROUNDS = 4;

/** A connection on which a head is begun and never ended; resolves with what it was answered. */
async function unfinishedHead(port: number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.write("GET / HTTP/1.1\r\nHost: a.test\r\n");
  let said = "";
  socket.setEncoding("latin1").on("data", (text: string) => said += text);
  await once(socket, "close");
  return said;
}

test("a slow steady upload outlasts the time for heads many times over, and so does one after a first request", async () => {
  let received = "";
  let came = () => {};
  await using plain = createPlain({
    address: "127.0.0.1",
    port: 0,
    log: silentLog,
    limits: { headersTimeoutMs: HEADERS_TIMEOUT_MS },
    handlers: {
      ...echoHandlers(),
      onRequest(req, res) {
        req.setEncoding("latin1").on("data", (text: string) => (received += text, came()));
        req.on("end", () => res.end(`${received.length}`));
      },
    },
  });
  const { port } = await plain.listen();
  const upload = async (socket: Socket) => {
    received = "";
    let answer = "";
    const read = (bytes: Uint8Array) => answer += Buffer.from(bytes).toString("latin1");
    socket.on("data", read);
    socket.write(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${ROUNDS + 1}\r\n\r\n`);
    for (let round = 0; round <= ROUNDS; round++) {
      const arrived = new Promise<void>((resolve, reject) => {
        came = resolve;
        socket.once("close", () => reject(new Error("The upload was cut")));
      });
      socket.write("x");
      await arrived;
      // The server's own clock: a head that is not finished has run out of it.
      if (round < ROUNDS) assert.match(await unfinishedHead(port), /^HTTP\/1\.1 408 /);
    }
    while (!answer.endsWith(String(ROUNDS + 1))) await once(socket, "data");
    socket.off("data", read);
    assert.match(answer, /^HTTP\/1\.1 200 /);
  };
  const socket = connect({ port, host: "127.0.0.1" });
  await upload(socket);
  await upload(socket);
  socket.destroy();
});
