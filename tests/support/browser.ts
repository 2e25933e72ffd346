import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { inTime, until } from "./until.ts";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--remote-debugging-port=0",
];

/** A page in a headless browser. */
export interface BrowserPage {
  /** Goes to `url` and waits until it is loaded. */
  open(url: string): Promise<void>;
  /** The value of an expression in the page, a promise's when it has settled; rejects with what the page threw. */
  evaluate(expression: string): Promise<unknown>;
  /** Complaints in the page's console so far: errors, failed requests, exceptions. */
  readonly complaints: readonly string[];
}

interface Answer {
  id?: number;
  method?: string;
  // deno-lint-ignore no-explicit-any -- the DevTools protocol has many shapes
  params?: any;
  // deno-lint-ignore no-explicit-any -- the same
  result?: any;
  error?: { message: string };
}

/** Starts `program` (Chromium) with a profile of its own and opens an empty page; both end with the test. */
export async function openBrowserPage(
  t: TestContext,
  program: string,
  flags: readonly string[] = [],
): Promise<BrowserPage> {
  const profile = await mkdtemp(join(tmpdir(), "sallyport-browser-"));
  const browser = spawn(program, [...FLAGS, ...flags, `--user-data-dir=${profile}`, "about:blank"], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  t.after(async () => {
    const ended = browser.exitCode !== null || browser.signalCode !== null ? null : once(browser, "exit");
    // Its processes are one group; those that it started itself must not outlive it.
    if (ended !== null) process.kill(-browser.pid!, "SIGKILL");
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const address = await debuggingAddress(browser);
  const target = await firstPage(new URL(address).host);
  const page = await DevTools.connect(target);
  t.after(() => page.close());
  for (const domain of ["Page", "Runtime", "Log"]) await page.call(`${domain}.enable`);
  await page.call("Page.setLifecycleEventsEnabled", { enabled: true });
  return page;
}

/** The browser says on standard error where it is to be reached. */
async function debuggingAddress(browser: ChildProcess): Promise<string> {
  const lines = createInterface({ input: browser.stderr! });
  const gone = once(browser, "exit").then(([code]) => {
    throw new Error(`Cannot start the browser: it ended with ${code}`);
  });
  const found = new Promise<string>((resolve) => {
    lines.on("line", (line) => {
      const address = /DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
  gone.catch(() => {});
  return await inTime("the browser says its address", Promise.race([found, gone]));
}

/** Its page comes after its address. */
async function firstPage(host: string): Promise<string> {
  return await until("the browser has a page", async () => {
    const response = await inTime("the browser lists its pages", fetch(`http://${host}/json/list`));
    const targets = await response.json() as { type: string; webSocketDebuggerUrl: string }[];
    return targets.find(({ type }) => type === "page")?.webSocketDebuggerUrl;
  });
}

/** One page's end of the DevTools protocol. */
class DevTools implements BrowserPage {
  readonly complaints: string[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  /** By loader: each navigation has one of its own, the empty page at the start as well. */
  readonly #loads = new Map<string, PromiseWithResolvers<void>>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)) as Answer);
  }

  static async connect(url: string): Promise<DevTools> {
    const socket = new WebSocket(url);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error(`Cannot connect to "${url}"`));
    });
    return new DevTools(socket);
  }

  async open(url: string): Promise<void> {
    const { errorText, loaderId } = await this.call("Page.navigate", { url });
    if (errorText !== undefined) throw new Error(`Cannot open "${url}": ${errorText}`);
    await inTime(`${url} is loaded`, this.#load(loaderId).promise);
  }

  async evaluate(expression: string): Promise<unknown> {
    const question = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", question);
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  // deno-lint-ignore no-explicit-any -- the DevTools protocol has many shapes
  async call(method: string, params: Record<string, unknown> = {}): Promise<any> {
    const id = ++this.#last;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await inTime(`${method} is answered`, answered);
    if (error !== undefined) throw new Error(`Cannot ${method}: ${error.message}`);
    return result;
  }

  close(): void {
    this.#socket.close();
  }

  #load(loaderId: string): PromiseWithResolvers<void> {
    let load = this.#loads.get(loaderId);
    if (load === undefined) this.#loads.set(loaderId, load = Promise.withResolvers());
    return load;
  }

  #receive({ id, method, params, ...answer }: Answer): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    } else if (method === "Page.lifecycleEvent" && params.name === "load") {
      this.#load(params.loaderId).resolve();
    } else if (method === "Runtime.exceptionThrown") {
      this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
    }
  }
}
