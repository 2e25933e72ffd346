import type {
  Abort,
  HeaderList,
  InformationalHead,
  RequestHead,
  ResponseHead,
} from "../../../src/protocol/heads.ts";
import { Backlog } from "../../../src/tunnel/backlog.ts";
import { CreditBudget } from "../../../src/tunnel/credit_budget.ts";
import type { ExchangeHandler } from "../../../src/tunnel/exchange_handler.ts";
import { FlushQueue } from "../../../src/tunnel/flush_queue.ts";
import { Lane, type LaneSide } from "../../../src/tunnel/lane.ts";
import type { LaneOwner } from "../../../src/tunnel/lane_owner.ts";
import { wire, type WireEnd } from "./wire.ts";

/** Something a handler was told. */
export type Heard =
  | ["informational", InformationalHead]
  | ["response", ResponseHead]
  | ["data", Buffer]
  | ["end", HeaderList]
  | ["abort", Abort]
  | ["writable"];

/** Writes down what it is told; `on` lets a test act within a call. */
export class Recorder implements ExchangeHandler {
  readonly heard: Heard[] = [];
  /** Bytes that arrived and were not said to be consumed. */
  unread = 0;
  /** Bytes that outlived the exchange on the lane: the test's to give back to the budget. */
  lingering = 0;
  on: (what: Heard) => void = () => {};

  /** Names of what was heard, `writable` left out. */
  get names(): string[] {
    return this.heard.map(([name]) => name as string).filter((name) => name !== "writable");
  }

  /** All data that was heard. */
  get body(): Buffer {
    return Buffer.concat(this.heard.filter((one) => one[0] === "data").map((one) => one[1] as Buffer));
  }

  informational(head: InformationalHead): void {
    this.#note(["informational", head]);
  }
  response(head: ResponseHead): void {
    this.#note(["response", head]);
  }
  data(bytes: Buffer): void {
    this.unread += bytes.length;
    this.#note(["data", bytes]);
  }
  end(trailers: HeaderList, unread: number): void {
    this.lingering += unread;
    this.unread = 0;
    this.#note(["end", trailers]);
  }
  abort(reason: Abort): void {
    this.unread = 0;
    this.#note(["abort", reason]);
  }
  writable(): void {
    this.#note(["writable"]);
  }

  #note(what: Heard): void {
    this.heard.push(what);
    this.on(what);
  }
}

/** A tunnel with one lane, as far as the lane can tell. */
export class Owner implements LaneOwner {
  readonly budget: CreditBudget = new CreditBudget(64 * 1024 * 1024);
  readonly flushes: FlushQueue = new FlushQueue();
  readonly backlog: Backlog;
  roundTripMs = 0;
  time = 0;
  /** Requests that began, in order. */
  readonly begins: RequestHead[] = [];
  readonly handlers: Recorder[] = [];
  idles = 0;
  /** Of each that has ended, whether the peer has just answered it. */
  readonly answers: boolean[] = [];
  readonly closes: { error: Error | null; wasIdle: boolean }[] = [];
  onBegun: (lane: Lane, handler: Recorder, head: RequestHead) => void = () => {};
  onIdle: (lane: Lane) => void = () => {};

  constructor(backlog: Backlog = new Backlog()) {
    this.backlog = backlog;
  }

  now(): number {
    return this.time;
  }
  received(): void {}
  begun(lane: Lane, head: RequestHead): void {
    const handler = new Recorder();
    this.begins.push(head);
    this.handlers.push(handler);
    lane.accept(handler);
    this.onBegun(lane, handler, head);
  }
  idle(lane: Lane, isAnswer: boolean): void {
    this.idles += 1;
    this.answers.push(isAnswer);
    this.onIdle(lane);
  }
  closed(_lane: Lane, error: Error | null, wasIdle: boolean): void {
    this.closes.push({ error, wasIdle });
  }
}

/** One end of a lane with all that belongs to it. */
export interface LaneEnd {
  lane: Lane;
  owner: Owner;
  stream: WireEnd;
}

/** Both ends of one lane on an in-memory wire; `backlog` of the connector's end, where others share it. */
export function lanePair(lastExchange?: number, backlog?: Backlog): { broker: LaneEnd; connector: LaneEnd } {
  const ends = wire();
  const make = (side: LaneSide): LaneEnd => {
    const owner = new Owner(side === "connector" ? backlog : undefined);
    return { lane: new Lane(ends[side], side, owner, lastExchange), owner, stream: ends[side] };
  };
  return { broker: make("broker"), connector: make("connector") };
}

/** A request for tests. */
export function request(changes: Partial<RequestHead> = {}): RequestHead {
  return {
    appId: "app_1",
    revision: 7,
    method: "GET",
    target: "/",
    headers: ["Host", "a.example"],
    follows: "nothing",
    msLeft: 0,
    client: { ip: "192.0.2.1", scheme: "https" },
    requestId: "r1",
    ...changes,
  };
}
