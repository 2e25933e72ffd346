import { encodeRequest, type RequestHead } from "../../../src/protocol/heads.ts";
import { ControlChannel, type Fields, type Reply } from "../../../src/tunnel/control_channel.ts";
import type { ExchangeHandler } from "../../../src/tunnel/exchange_handler.ts";
import { Lane, type LaneSide } from "../../../src/tunnel/lane.ts";
import { fromHex, toHex } from "../protocol/hex.ts";
import { Owner, Recorder } from "./lane_ends.ts";
import { turn, wire, type WireEnd } from "./wire.ts";

/** One turn of a recorded conversation. */
export interface TranscriptStep {
  from: LaneSide;
  /** What this side was told to do; absent where it speaks on its own. */
  do?: [action: string, ...args: unknown[]];
  /** What it then put on the wire. */
  hex: string;
  /** What the other side's handlers were told when that had arrived. */
  heard: unknown[][];
}

/** A recorded conversation on one stream. */
export interface Transcript {
  name: string;
  stream: "lane" | "control";
  steps: TranscriptStep[];
}

/** One side of a conversation, driven by a transcript. */
export abstract class Role {
  protected readonly stream: WireEnd;
  #heard: unknown[][] = [];

  constructor() {
    const ends = wire();
    this.stream = ends.broker;
  }

  abstract act(action: string, ...args: unknown[]): void;
  /** True when nothing is under way. */
  abstract get isQuiet(): boolean;

  /** Takes what the peer has written, in pieces of `size`. */
  async receive(bytes: Buffer, size: number = Infinity): Promise<void> {
    for (let at = 0; at < bytes.length; at += size) {
      this.stream.push(bytes.subarray(at, Math.min(at + size, bytes.length)));
    }
    await turn();
  }

  /** What this side has put on the wire since the last call. */
  async written(): Promise<Buffer> {
    await turn();
    return this.stream.pull();
  }

  /** What its handlers were told since the last call. */
  heard(): unknown[][] {
    const heard = this.#heard;
    this.#heard = [];
    return heard.map(([name, ...rest]) =>
      name === "data" ? [name, toHex(rest[0] as Buffer)] : [name!, ...rest]
    );
  }

  protected note(what: readonly unknown[]): void {
    const last = this.#heard.at(-1);
    if (what[0] === "data" && last?.[0] === "data") {
      last[1] = Buffer.concat([last[1] as Buffer, what[1] as Buffer]);
    } else if (what[0] !== "writable") this.#heard.push([...what]);
  }
}

/** One end of a lane. */
class LaneRole extends Role {
  readonly #owner = new Owner();
  readonly #lane: Lane;

  constructor(side: LaneSide) {
    super();
    this.#lane = new Lane(this.stream, side, this.#owner);
    this.#owner.onBegun = (_lane, handler, head) => {
      this.note(["request", head]);
      this.#listen(handler);
    };
    this.#owner.onIdle = () => this.note(["idle"]);
  }

  get isQuiet(): boolean {
    return this.#lane.isIdle && this.#owner.closes.length === 0;
  }

  override act(action: string, ...args: unknown[]): void {
    const [first] = args as never[];
    if (action === "begin") {
      const head = first as RequestHead;
      this.#lane.begin(encodeRequest(head), head.follows, this.#listen(new Recorder()));
    } else if (action === "informational") this.#lane.sendInformational(first!);
    else if (action === "response") this.#lane.sendResponse(first!);
    else if (action === "data") this.#lane.sendData(fromHex(first!));
    else if (action === "end") this.#lane.sendEnd(first!);
    else if (action === "abort") this.#lane.abort(first!);
    else if (action === "consumed") this.#lane.consumed(first!);
    else throw new Error(`Unknown action "${action}"`);
  }

  #listen(handler: Recorder): ExchangeHandler {
    handler.on = (what) => this.note(what);
    return handler;
  }
}

/** One end of a control stream. */
class ControlRole extends Role {
  readonly #channel: ControlChannel;
  #reply: Reply | null = null;
  #answered: ((result: void | "unsupported") => void) | null = null;
  #waiting = 0;

  constructor() {
    super();
    this.#channel = new ControlChannel(this.stream, {
      request: (type, fields, reply) => {
        this.note(["request", type, fields]);
        this.#reply = reply;
        return new Promise((resolve) => this.#answered = resolve);
      },
      notice: (type, fields) => this.note(["notice", type, fields]),
      received: () => {},
      closed: (error) => this.note(["closed", error === null ? null : (error as { code?: string }).code]),
    });
  }

  get isQuiet(): boolean {
    return this.#channel.isOpen && this.#waiting === 0;
  }

  override act(action: string, ...args: unknown[]): void {
    const [type, fields] = args as [string, Fields];
    if (action === "request") {
      this.#waiting += 1;
      this.#channel.request(type, fields, 60_000, (part) => this.note(["part", part])).then(
        (answer) => this.note(["answer", answer]),
        (error) => this.note(["refusal", error.code]),
      ).finally(() => this.#waiting -= 1);
    } else if (action === "notice") this.#channel.notice(type, fields);
    else if (action === "unsupported") this.#answered!("unsupported");
    else if (action === "reply") {
      const [part, more] = args as [Fields, boolean | undefined];
      void this.#reply!(part, more);
      if (more !== true) this.#answered!();
    } else throw new Error(`Unknown action "${action}"`);
  }
}

/** The side of a conversation that plays `from`. */
export function roleOf(stream: Transcript["stream"], side: LaneSide): Role {
  return stream === "lane" ? new LaneRole(side) : new ControlRole();
}
