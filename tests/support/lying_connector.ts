import { performance } from "node:perf_hooks";
import type { RequestHead, ResponseHead } from "../../src/protocol/heads.ts";
import { Backlog } from "../../src/tunnel/backlog.ts";
import { CreditBudget } from "../../src/tunnel/credit_budget.ts";
import { FlushQueue } from "../../src/tunnel/flush_queue.ts";
import { Lane } from "../../src/tunnel/lane.ts";
import { type ForeignConnector, foreignConnector } from "./foreign_connector.ts";

/** A connector that keeps to the rules of lanes and says on them what a test wants, true or not. */
export class LyingConnector implements Disposable {
  readonly foreign: ForeignConnector;
  /** Answers each request. */
  answer: (lane: Lane, head: RequestHead) => void = () => {};
  /** Request body as its pieces came. */
  readonly pieces: string[] = [];
  /** Takes request bodies; else what they may send at first is all that comes. */
  takes = true;
  /** Called with each piece of a request body. */
  arrived: (bytes: Buffer) => void = () => {};
  /** Called when the broker has aborted an exchange. */
  aborted: (code: string) => void = () => {};
  /** Called when a request body has ended. */
  ended: () => void = () => {};
  readonly #flushes = new FlushQueue();
  readonly #backlog = new Backlog();
  readonly #budget = new CreditBudget(1024 * 1024 * 1024);

  private constructor(foreign: ForeignConnector) {
    this.foreign = foreign;
  }

  /** Dials with the identity in a state folder and opens so many lanes. */
  static async start(
    stateDir: string,
    lanes: number,
    capabilities: readonly string[] = [],
  ): Promise<LyingConnector> {
    const liar = new LyingConnector(await foreignConnector(stateDir, undefined, capabilities));
    for (let i = 0; i < lanes; i++) await liar.openLane();
    return liar;
  }

  /** Opens another lane. */
  async openLane(): Promise<void> {
    const stream = await this.foreign.openLane();
    new Lane(stream, "connector", {
      budget: this.#budget,
      flushes: this.#flushes,
      backlog: this.#backlog,
      roundTripMs: 1,
      now: () => performance.now(),
      received: () => {},
      begun: (lane, head) => {
        lane.accept({
          informational: () => {},
          response: () => {},
          data: (bytes) => {
            this.pieces.push(bytes.toString("latin1"));
            if (this.takes) lane.consumed(bytes.length);
            this.arrived(bytes);
          },
          end: (_trailers, unread) => {
            this.#budget.give(unread);
            this.ended();
          },
          abort: ({ code }) => this.aborted(code),
          writable: () => {},
        });
        this.answer(lane, head);
      },
      idle: () => {},
      closed: () => {},
    });
  }

  /** Answers each request with this head, these pieces of a body, and an end where it has one. */
  says(head: Partial<ResponseHead>, ...body: string[]): void {
    const whole: ResponseHead = { status: 200, reason: "OK", headers: [], hasBody: body.length > 0, ...head };
    this.answer = (lane) => {
      lane.sendResponse({ ...whole, headers: [...whole.headers] });
      if (!whole.hasBody) return;
      for (const piece of body) if (piece !== "") lane.sendData(Buffer.from(piece, "latin1"));
      lane.sendEnd([]);
    };
  }

  [Symbol.dispose](): void {
    this.foreign[Symbol.dispose]();
  }
}
