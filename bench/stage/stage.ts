import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { LinkOptions } from "../relay/link.ts";
import { type Load, startLoad } from "./load.ts";
import { type BackendOptions, type Nginx, startBackend, startNginxHop } from "./nginx.ts";
import { type NodeHop, startNodeHop } from "./node_hop.ts";
import { type Product, startProduct } from "./product.ts";

/** Something between wrk and the backend whose cost is measured. */
export interface Contender {
  name: string;
  origin: string;
  /** True where nothing is compiled while it runs, as in nginx: it needs no warming up. */
  isWarm?: boolean;
  /** Its processes, by what they are called in the table. */
  processes: Readonly<Record<string, number>>;
}

/** All that a row may use; parts start when first asked for and stop together. */
export class Stage implements AsyncDisposable {
  /** Kinds of work and names of contenders that have been warmed up for it, e.g. `download: Node hop`. */
  readonly warm: Set<string> = new Set();
  #folder: string;
  #things: AsyncDisposableStack;
  #started = new Map<string, Promise<unknown>>();
  #products = 0;

  private constructor(folder: string, things: AsyncDisposableStack) {
    this.#folder = folder;
    this.#things = things;
  }

  /** An empty stage in a temporary folder of its own. */
  static async create(): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-bench-"));
    const things = new AsyncDisposableStack();
    // On exit, too: an interrupted run ends the process without unwinding.
    const remove = () => rmSync(folder, { recursive: true, force: true });
    process.once("exit", remove);
    things.defer(() => {
      process.off("exit", remove);
      remove();
    });
    return new Stage(folder, things);
  }

  /** A path in the stage's folder, which is removed with it. */
  path(name: string): string {
    return join(this.#folder, name);
  }

  backend(): Promise<Nginx> {
    return this.#once("backend", () => startBackend(join(this.#folder, "backend")));
  }

  load(): Promise<Load> {
    return this.#once("load", () => Promise.resolve(startLoad()));
  }

  /** A second process of clients, the caller's own to stop. */
  anotherLoad(): Promise<Load> {
    const load = startLoad();
    this.#things.defer(() => load.stop());
    return Promise.resolve(load);
  }

  nodeHop(): Promise<NodeHop> {
    return this.#once("node hop", async () => startNodeHop((await this.backend()).origin));
  }

  nginxHop(): Promise<Nginx> {
    return this.#once(
      "nginx hop",
      async () => startNginxHop(join(this.#folder, "hop"), (await this.backend()).origin),
    );
  }

  /** The product with nothing between its programs, shared by all rows. */
  product(): Promise<Product> {
    return this.#shared(null);
  }

  /** The row's own, which stops with the stage. */
  ownBackend(row: string, options: BackendOptions): Promise<Nginx> {
    return this.#once(`backend of ${row}`, () => startBackend(join(this.#folder, `backend-${row}`), options));
  }

  /**
   * A product of the row's own, the caller's to stop: what other rows have done has no share in what is seen of it. A
   * quick run, whose figures are rough, spares the time of starting one: there rows with the same line share one.
   */
  async ownProduct(line: LinkOptions | null, quick: boolean): Promise<Product> {
    return quick ? { ...await this.#shared(line), stop: () => Promise.resolve() } : this.freshProduct(line);
  }

  /** Another product, the caller's own to stop, in front of `backend`, or else of that which all share. */
  async freshProduct(line: LinkOptions | null, backend?: Nginx): Promise<Product> {
    const { origin } = backend ?? await this.backend();
    return startProduct(join(this.#folder, `product-${++this.#products}`), origin, line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#things.disposeAsync();
  }

  #shared(line: LinkOptions | null): Promise<Product> {
    return this.#once(`product ${JSON.stringify(line)}`, () => this.freshProduct(line));
  }

  #once<T extends { stop(): Promise<void> }>(name: string, start: () => Promise<T>): Promise<T> {
    const started = this.#started.get(name) as Promise<T> | undefined;
    if (started !== undefined) return started;
    const starting = start().then((thing) => {
      this.#things.defer(() => thing.stop());
      return thing;
    });
    this.#started.set(name, starting);
    return starting;
  }
}
