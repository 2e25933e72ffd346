/** Brokers that are killed under administrators' writes: what the API has answered is there when they start again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type BrokerProcess, startBroker } from "../../src/demo/processes.ts";
import { randomFrom, seedOf } from "../support/random.ts";
import { temporaryFolder } from "../support/store_fixture.ts";

const ROUNDS = 20;
const WRITERS = 8;
/** A round's kill comes after so many answers at most, and then after so many milliseconds at most. */
const MOST_ANSWERS = 80;
const MOST_DELAY_MS = 5;

/** A record as the API shows it, apps and groups alike. */
interface Shown {
  id: string;
  etag: string;
  name: string;
}

/** What a writer knows of a record: what was acknowledged last, and the name of a change without an answer. */
interface Known {
  kind: "apps" | "groups";
  etag: string;
  name: string;
  asked?: string;
}

/** What was acknowledged, by the id of the record. */
class Ledger {
  readonly alive = new Map<string, Known>();
  readonly deleted = new Set<string>();
  answers = 0;
  changed = 0;

  /** Throws when something acknowledged is lost. */
  async verify(broker: BrokerProcess): Promise<void> {
    const shown = new Map<string, Shown>();
    for (const kind of ["apps", "groups"]) {
      for (let cursor: string | null = ""; cursor !== null;) {
        const path: string = `${kind}?limit=1000${cursor === "" ? "" : `&cursor=${cursor}`}`;
        const page = await broker.admin.request("GET", path) as { items: Shown[]; next: string | null };
        for (const record of page.items) shown.set(record.id, record);
        cursor = page.next;
      }
    }
    for (const [id, known] of this.alive) {
      const record = shown.get(id);
      assert.ok(record, `lost: ${known.kind} "${known.name}"`);
      // A change whose answer the kill has cut off was made, or not.
      const names = [known.name, ...known.asked === undefined ? [] : [known.asked]];
      assert.ok(names.includes(record.name), `"${record.name}" is none of "${names}"`);
      if (record.name === known.name) assert.equal(record.etag, known.etag, known.name);
      this.alive.set(id, { kind: known.kind, etag: record.etag, name: record.name });
    }
    for (const id of this.deleted) assert.ok(!shown.has(id), `lost: the deletion of "${id}"`);
  }
}

/** A call of the admin API; undefined when the broker ended before it answered. */
async function call(
  broker: BrokerProcess,
  method: string,
  path: string,
  { body, etag }: { body?: unknown; etag?: string } = {},
): Promise<Shown | null | undefined> {
  let text: string;
  let status: number;
  try {
    const response = await fetch(new URL(`/api/v1/${path}`, broker.adminUrl), {
      method,
      headers: {
        authorization: `Bearer ${broker.adminToken}`,
        ...body === undefined ? {} : { "content-type": "application/json" },
        ...etag === undefined ? {} : { "if-match": etag },
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    const { signal } = await broker.child.exited;
    assert.equal(signal, "SIGKILL", String(error));
    return undefined;
  }
  assert.ok(status < 300, `${method} ${path}: ${status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** Creates, changes and deletes apps and groups until the broker is killed. */
async function write(
  broker: BrokerProcess,
  ledger: Ledger,
  prefix: string,
  onAnswer: () => void,
): Promise<void> {
  for (let i = 0;; i++) {
    const kind = i % 4 === 3 ? "groups" : "apps";
    const name = `${prefix}-${i}`;
    const app = {
      groupId: "default",
      externalUrls: [`https://${name}.example.com/`],
      internalUrl: "http://10.0.0.5:8080/",
    };
    const made = await call(broker, "POST", kind, { body: { name, ...kind === "apps" ? app : {} } });
    if (!made) return;
    assert.equal(made.name, name);
    const known: Known = { kind, etag: made.etag, name };
    ledger.alive.set(made.id, known);
    onAnswer();
    const path = `${kind}/${made.id}`;
    known.asked = `${name}-changed`;
    const changed = await call(broker, "PATCH", path, { body: { name: known.asked }, etag: made.etag });
    if (!changed) return;
    assert.equal(changed.name, known.asked);
    assert.notEqual(changed.etag, made.etag);
    ledger.alive.set(made.id, { kind, etag: changed.etag, name: changed.name });
    ledger.changed += 1;
    onAnswer();
    if (i % 3 !== 2) continue;
    ledger.alive.delete(made.id);
    if (await call(broker, "DELETE", path) === undefined) return;
    ledger.deleted.add(made.id);
    onAnswer();
  }
}

test(`a broker that is killed ${ROUNDS} times under ${WRITERS} writers has all that the API has acknowledged`, async (t) => {
  const random = randomFrom(seedOf(t));
  const dataDir = temporaryFolder(t);
  const ledger = new Ledger();
  let broker = await startBroker({ dataDir });
  t.after(() => broker.child.stop(0));
  for (let round = 0; round < ROUNDS; round++) {
    const killAt = 1 + Math.floor(random() * MOST_ANSWERS);
    const delayMs = random() * MOST_DELAY_MS;
    let answers = 0;
    const onAnswer = () => {
      ledger.answers += 1;
      // A moment that has nothing to do with the answers' own rhythm.
      if (++answers === killAt) void delay(delayMs).then(() => broker.child.signal("SIGKILL"));
    };
    const { child } = broker;
    await Promise.all(
      Array.from({ length: WRITERS }, (_, writer) => write(broker, ledger, `r${round}-w${writer}`, onAnswer)),
    );
    assert.equal((await child.exited).signal, "SIGKILL");
    broker = await startBroker({ dataDir });
    await ledger.verify(broker);
  }
  const { alive, deleted, changed } = ledger;
  t.diagnostic(`${ledger.answers} answers: ${alive.size} records, ${deleted.size} deletions`);
  assert.ok(alive.size > 0 && deleted.size > 0 && changed > 0);
});
