import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../platform/log.ts";
import { lockState } from "./identity/state_lock.ts";
import { serveStatus } from "./status/server.ts";
import { statusSocketPath } from "./status/socket_path.ts";
import { askForTakeover, type Predecessor, untilSuccessorServes } from "./status/takeover.ts";

/** How often a folder that was to be handed over is asked for again, milliseconds. */
const RETRY_MS = 500;

/** How this process holds its state folder. */
export interface TenancyOptions {
  stateDir: string;
  /** What `status` shows. */
  /** What the status socket answers to a path. */
  snapshot: (question: string) => unknown;
  /** Another process asks for the folder: nothing may be written there any more until `resumed`. */
  yielding: (instanceId: string) => Promise<void>;
  /** That process has gone without serving: the folder is ours again. */
  resumed: () => void | Promise<void>;
  /** That process serves: what is in flight here may end. */
  replaced: () => void;
  log: Log;
}

/**
 * The one process that uses a state folder: has its lock and answers on its status socket. It can hand both to another
 * process of the same host (make before break): it lets go of the folder, serves on, and ends when the other one serves;
 * should that one die before, the folder is taken back.
 */
export class Tenancy implements AsyncDisposable {
  readonly #options: TenancyOptions;
  readonly #predecessor: Predecessor | null;
  #state: "held" | "yielding" | "over" = "held";
  #lock: AsyncDisposable | null;
  #status: AsyncDisposable | null = null;

  private constructor(options: TenancyOptions, lock: AsyncDisposable, predecessor: Predecessor | null) {
    this.#options = options;
    this.#lock = lock;
    this.#predecessor = predecessor;
  }

  /**
   * Takes hold of the folder. With an `instanceId` a process that has it is asked to hand it over; without one that is
   * `state_in_use`. Throws as `lockState` and `askForTakeover` do.
   */
  static async take(options: TenancyOptions, instanceId: string | null): Promise<Tenancy> {
    const { stateDir } = options;
    try {
      return new Tenancy(options, lockState(stateDir), null);
    } catch (error) {
      if (instanceId === null || (error as { code?: string }).code !== "state_in_use") throw error;
    }
    const predecessor = await askForTakeover(statusSocketPath(stateDir), instanceId);
    try {
      return new Tenancy(options, lockState(stateDir), predecessor);
    } catch (error) {
      predecessor[Symbol.dispose]();
      throw error;
    }
  }

  /** Answers on the status socket from now on. */
  async serve(): Promise<void> {
    const { stateDir, snapshot } = this.#options;
    this.#status = await serveStatus(statusSocketPath(stateDir), snapshot, (instanceId, socket) => {
      void this.#handOver(instanceId, socket);
    });
  }

  /** This process serves: whoever had the folder before may end. */
  ready(): void {
    this.#predecessor?.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const had = this.#state;
    this.#state = "over";
    if (had === "held") await this.#letGo();
    this.#predecessor?.[Symbol.dispose](); // Now it can take the folder back.
  }

  async #letGo(): Promise<void> {
    await this.#status?.[Symbol.asyncDispose]();
    this.#status = null;
    await this.#lock?.[Symbol.asyncDispose]();
    this.#lock = null;
  }

  async #handOver(instanceId: string, socket: Duplex): Promise<void> {
    const { log, replaced, stateDir, yielding } = this.#options;
    if (this.#state !== "held") return void socket.end("HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n");
    this.#state = "yielding";
    log.info("another process takes over", { instance: instanceId });
    try {
      await yielding(instanceId);
      await this.#letGo();
      if (await untilSuccessorServes(socket)) return replaced();
      log.warn("the process that was to take over has gone: going on", { instance: instanceId });
    } catch (error) {
      log.error("cannot hand over", { error: String(error) });
      socket.destroy();
    }
    await this.#takeBack(stateDir, log);
  }

  /** The successor lets go of what it had a moment after its connection has ended: tried until it has. */
  async #takeBack(stateDir: string, log: Log): Promise<void> {
    for (let tries = 0; this.#state === "yielding"; tries++) {
      try {
        this.#lock ??= lockState(stateDir);
        this.#state = "held";
        if (this.#status === null) await this.serve();
        return await this.#options.resumed();
      } catch (error) {
        if (tries === 0) log.warn("cannot take the state folder back yet", { error: String(error) });
        this.#state = this.#state === "held" ? "yielding" : this.#state;
        await delay(RETRY_MS, undefined, { ref: false });
      }
    }
  }
}
