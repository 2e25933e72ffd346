/** More connections than there may be: those too many are reset at once, the others are served, and later all are again. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";
import { answerOk } from "../support/raw_backend.ts";
import { type StagedBackend, stagedBackend } from "../support/staged_backend.ts";
import { until } from "../support/until.ts";
import { Wire } from "../support/wire.ts";
import type { EndCause } from "../../src/broker/metrics/end_causes.ts";

const HOST = "many.example.test";
const MOST = 8;
const PER_SOURCE = 6;

let stage: IngressStage;
let backend: StagedBackend;

before(async () => {
  stage = await ingressStage({
    broker: [
      ...["--max-user-connections", String(MOST)],
      ...["--max-user-connections-per-source", String(PER_SOURCE)],
    ],
  });
  backend = await stagedBackend(({ socket, head }) =>
    void socket.write(answerOk(head.split(" ")[1]!), "latin1")
  );
  await stage.publish("many", [`http://${HOST}`, `https://${HOST}`], backend.origin);
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

const refused = (cause: EndCause) =>
  stage.metric(`sallyport_ingress_connections_ended_total{cause="${cause}"}`);

/** A TCP connection from an address of the loopback, which may be over before it is told of. */
function dial(port: number, from: string): Socket {
  return connect({ port, host: "127.0.0.1", localAddress: from, noDelay: true });
}

/** A user's connection, with TLS or without. */
async function enter(kind: "plain" | "tls", from: string): Promise<Wire> {
  if (kind === "plain") return new Wire(dial(stage.plainPort, from));
  const socket = dial(stage.tlsPort, from);
  await once(socket, "connect");
  return await Wire.tls({ socket, servername: HOST, ca: stage.ca });
}

async function ask(wire: Wire, target: string): Promise<void> {
  wire.send(`GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const { status, body } = await wire.response();
  assert.equal(`${status} ${body}`, `200 ${target}`);
}

/** Enters and asks: a connection that counts. */
async function served(kind: "plain" | "tls", from: string): Promise<Wire> {
  const wire = await enter(kind, from);
  await ask(wire, "/in");
  return wire;
}

/** Resolves when the broker has so many connections of users. */
async function open(count: number): Promise<void> {
  await until(
    `${count} connections of users are open`,
    async () => await stage.metric("sallyport_ingress_connections") === count,
  );
}

const LIMITS: Record<string, { cause: EndCause; sources: string[]; late: string }> = {
  "in all": {
    cause: "too_many_connections",
    sources: [
      "127.0.0.2",
      "127.0.0.3",
      "127.0.0.2",
      "127.0.0.3",
      "127.0.0.2",
      "127.0.0.3",
      "127.0.0.4",
      "127.0.0.4",
    ],
    late: "127.0.0.5",
  },
  "of one source": {
    cause: "too_many_of_source",
    sources: Array.from({ length: PER_SOURCE }, () => "127.0.0.2"),
    late: "127.0.0.2",
  },
};

for (const [what, { cause, sources, late }] of Object.entries(LIMITS)) {
  test(`one connection too many ${what} is reset at once and counted; the others are served, and it once there is room`, async (t) => {
    await open(0);
    const wires: Wire[] = [];
    t.after(() => wires.forEach((wire) => wire.close()));
    for (const [i, source] of sources.entries()) {
      wires.push(await served(i % 2 === 0 ? "plain" : "tls", source));
    }
    await open(sources.length);
    const counted = await refused(cause);

    const late1 = new Wire(dial(stage.plainPort, late));
    late1.send(`GET /late HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    assert.equal(await late1.over(), "reset");
    assert.equal(await late1.rest(), "");
    await assert.rejects(enter("tls", late), { code: "ECONNRESET" });
    assert.equal(await refused(cause), counted + 2);
    assert.equal(await stage.metric("sallyport_ingress_connections"), sources.length);
    for (const [i, wire] of wires.entries()) await ask(wire, `/still-${i}`);
    if (cause === "too_many_of_source") (await served("tls", "127.0.0.3")).close();

    for (const wire of wires.splice(0, 2)) wire.close();
    await open(sources.length - 2);
    wires.push(await served("plain", late), await served("tls", late));
    assert.equal(await refused(cause), counted + 2);
  });
}
