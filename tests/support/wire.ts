import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions } from "node:tls";

/** One response as its bytes came, latin1. */
export interface WireResponse {
  status: number;
  reason: string;
  /** Names and values in turn, in order. */
  headers: string[];
  /** Payload, its chunks joined. */
  body: string;
  trailers: string[];
  /** How the end of the body was told; `cut`: it was not. */
  end: "none" | "length" | "chunked" | "close" | "cut";
}

/** False where TLS clients cannot tell a reset from an end: Deno's. */
export const TLS_TELLS_RESETS: boolean = !("Deno" in globalThis);

/** A user's HTTP/1.1 connection as bytes: sends what it is given and reads responses without being kind to them. */
export class Wire implements Disposable {
  readonly socket: Socket;
  #seen = "";
  #state: "open" | "ended" | "reset" = "open";
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#seen += bytes.toString("latin1");
      this.#wake?.();
    });
    socket.on("end", () => this.#over("ended"));
    socket.on("error", () => this.#over("reset"));
    socket.on("close", () => this.#over("reset"));
  }

  /** Connects without TLS. `allowHalfOpen`: our side stays open when the other has ended. */
  static async plain(port: number, host = "127.0.0.1"): Promise<Wire> {
    const socket = connect({ port, host, noDelay: true, allowHalfOpen: true });
    await once(socket, "connect");
    return new Wire(socket);
  }

  /** Connects with TLS. */
  static async tls(options: ConnectionOptions): Promise<Wire> {
    const socket = connectTls({ host: "127.0.0.1", ALPNProtocols: ["http/1.1"], ...options });
    await once(socket, "secureConnect");
    return new Wire(socket);
  }

  /** Sends bytes; text is latin1. */
  send(bytes: string | Uint8Array): void {
    if (typeof bytes === "string") this.socket.write(bytes, "latin1");
    else this.socket.write(bytes);
  }

  /** How the other side has ended the connection, `open` until then. */
  get state(): "open" | "ended" | "reset" {
    return this.#state;
  }

  /** Resolves when the other side has ended the connection. */
  async over(): Promise<"ended" | "reset"> {
    while (this.#state === "open") await this.#more();
    return this.#state;
  }

  /** Takes `count` bytes of what follows; fewer when the connection ends first. */
  async bytes(count: number): Promise<string> {
    while (this.#seen.length < count && this.#state === "open") await this.#more();
    return this.#take(count);
  }

  /** Takes everything until the other side ends the connection. */
  async rest(): Promise<string> {
    await this.over();
    return this.#take(this.#seen.length);
  }

  /** The next response, a 1xx too. `head`: it answers a HEAD. */
  async response(head: boolean = false): Promise<WireResponse> {
    const { status, reason, headers } = await this.head();
    const response: WireResponse = { status, reason, headers, body: "", trailers: [], end: "none" };
    if (head || status < 200 || status === 204 || status === 304) return response;
    const length = valueOf(headers, "content-length");
    if (valueOf(headers, "transfer-encoding") === "chunked") return await this.#chunked(response);
    if (length === undefined) {
      response.body = await this.rest();
      response.end = this.#state === "ended" ? "close" : "cut";
      return response;
    }
    response.body = await this.bytes(Number(length));
    response.end = response.body.length === Number(length) ? "length" : "cut";
    return response;
  }

  /** The next response's head; its body is left. */
  async head(): Promise<{ status: number; reason: string; headers: string[] }> {
    const [line = "", ...lines] = (await this.#until("\r\n\r\n")).split("\r\n");
    const parts = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(line);
    if (parts === null) throw new Error(`Cannot read response: "${line}"`);
    return { status: Number(parts[1]), reason: parts[2]!, headers: fields(lines) };
  }

  close(): void {
    this.socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #chunked(response: WireResponse): Promise<WireResponse> {
    try {
      for (;;) {
        const size = parseInt(await this.#until("\r\n"), 16);
        if (size === 0) break;
        const chunk = await this.bytes(size + 2);
        if (chunk.length < size + 2) return { ...response, end: "cut" };
        response.body += chunk.slice(0, size);
      }
      for (let line = await this.#until("\r\n"); line !== ""; line = await this.#until("\r\n")) {
        response.trailers.push(...fields([line]));
      }
    } catch {
      return { ...response, end: "cut" };
    }
    return { ...response, end: "chunked" };
  }

  async #until(mark: string): Promise<string> {
    while (!this.#seen.includes(mark)) {
      if (this.#state !== "open") {
        throw new Error(`Cannot read response: connection over after "${this.#seen}"`);
      }
      await this.#more();
    }
    const text = this.#take(this.#seen.indexOf(mark) + mark.length);
    return text.slice(0, -mark.length);
  }

  #take(count: number): string {
    const text = this.#seen.slice(0, count);
    this.#seen = this.#seen.slice(count);
    return text;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  #over(how: "ended" | "reset"): void {
    if (this.#state === "open") this.#state = how;
    this.#wake?.();
  }
}

/** The values of one header, joined as a list; undefined when it is not there. */
export function valueOf(headers: readonly string[], name: string): string | undefined {
  const values = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === name);
  return values.length === 0 ? undefined : values.join(", ");
}

/** Header lines as names and values in turn. */
export function fields(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
}
