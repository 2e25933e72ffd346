import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { HeaderList, InformationalHead, ResponseHead } from "../../protocol/heads.ts";
import type { IngressCode } from "./error_table.ts";
import type { ErrorPages, ExchangeContext, ExchangeTarget } from "./exchange_context.ts";
import { IngressExchange } from "./exchange.ts";
import type { IdleSetting, IdleWatch } from "./idle_sweep.ts";
import { resetConnection } from "./reset_connection.ts";
import { checkHeader, incomingHeaders, NO_LENGTH } from "./response_headers.ts";
import { SERVICE_RESTART, WebsocketBoundary } from "./websocket_boundary.ts";
import { isAgreedSwitch, valuesOf } from "./websocket_handshake.ts";

/** The connection of a user who has asked to change the protocol, which Node has let go of: bytes, no messages. */
export class UpgradingUser {
  readonly socket: Duplex;

  constructor(socket: Duplex) {
    this.socket = socket;
    socket.on("error", () => {}); // `close` follows, and says all that matters here.
  }

  /** Writes the head of a response. Throws where a name, a value or the reason could end it early. */
  writeHead(status: number, reason: string, headers: readonly string[]): void {
    checkHeader("reason", reason);
    let head = `HTTP/1.1 ${status} ${reason}\r\n`;
    for (let i = 0; i < headers.length; i += 2) {
      checkHeader(headers[i]!, headers[i + 1]!);
      head += `${headers[i]}: ${headers[i + 1]}\r\n`;
    }
    this.socket.write(`${head}\r\n`, "latin1");
  }

  /** Answers with a whole response and ends the connection. */
  answer(page: { status: number; headers: readonly string[]; body: Uint8Array }): void {
    this.writeHead(page.status, STATUS_CODES[page.status]!, [...page.headers, "Connection", "close"]);
    this.endAll(page.body);
  }

  /** Ends both directions once all is out: a user may keep its own open on a plain connection, for ever. */
  endAll(last?: Uint8Array): void {
    const { socket } = this;
    const done = () => socket.destroy();
    if (last === undefined) socket.end(done);
    else socket.end(last, done);
  }
}

/** An exchange that becomes a connection of its own (WebSocket and the like), unless the backend declines. */
export class UpgradeExchange extends IngressExchange {
  /** Null once the protocol has changed: thousands of such connections stay for hours. */
  #req: IncomingMessage | null;
  readonly #user: UpgradingUser;
  readonly #pages: ErrorPages;
  readonly #idle: IdleSetting;
  #watch: IdleWatch | null = null;
  /** `asked`: what the user sends is kept, in `#early`, a piece at most, since it is for whoever answers 101. */
  #phase: "asked" | "switched" | "declined" = "asked";
  #early: Buffer[] | null;
  /** Where the frames end that the user gets; null where it is not a WebSocket. */
  #boundary: WebsocketBoundary | null = null;
  #isLeaving = false;

  constructor(
    context: ExchangeContext,
    target: ExchangeTarget,
    pages: ErrorPages,
    req: IncomingMessage,
    user: UpgradingUser,
    first: Buffer,
    idle: IdleSetting,
  ) {
    super(context, target);
    this.#req = req;
    this.#user = user;
    this.#pages = pages;
    this.#idle = idle;
    this.#early = first.length > 0 ? [first] : null;
    user.socket.on("close", () => {
      this.#watch?.stop();
      this.userClosed();
    });
  }

  /** Sends the request on its way. */
  start(backendTarget: string, headers: HeaderList): void {
    const { socket } = this.#user;
    socket.on("drain", () => this.userDrained());
    socket.on("data", (bytes: Buffer) => this.#received(bytes));
    socket.on("end", () => this.#ended());
    if (this.#early !== null) this.#pause();
    this.dispatch(this.#req!.method!, backendTarget, headers, "upgrade");
  }

  #received(bytes: Buffer): void {
    if (this.#phase === "switched") {
      if (this.#watch !== null) this.#watch.active = true;
      if (!this.sendBody(bytes)) this.#pause();
    } else if (this.#phase === "asked") {
      (this.#early ??= []).push(bytes);
      this.#pause();
    }
  }

  #pause(): void {
    const { socket } = this.#user;
    socket.pause();
    this.context.pausedUsers.add(socket, socket);
  }

  #ended(): void {
    if (this.#phase === "switched") this.sendBodyEnd([]);
    else if (this.#phase === "asked") this.#user.socket.destroy(); // Gone, as with an ordinary request.
  }

  protected startBody(): void {
    this.#phase = "switched";
    this.#watch = this.#idle.sweep.watch(this.#idle.afterMs, () => this.expire());
    this.#req = null;
    let room = true;
    for (const bytes of this.#early ?? []) room = this.sendBody(bytes);
    this.#early = null;
    if (room) this.#user.socket.resume();
  }

  protected resumeBody(): void {
    const { socket } = this.#user;
    if (this.#phase !== "asked" && socket.isPaused()) socket.resume();
  }

  protected writeInformational(head: InformationalHead): void {
    this.#user.writeHead(head.status, "", incomingHeaders(head.headers, NO_LENGTH));
  }

  protected writeHead(head: ResponseHead): void {
    const { socket } = this.#user;
    if (head.status !== 101) {
      this.#user.writeHead(head.status, head.reason, [
        ...this.finalHeaders(head),
        "Connection",
        "close",
      ]);
      // Declined: an ordinary response, ended by the end of the connection. Nothing more of the user is for the backend.
      this.#phase = "declined";
      this.sendBodyEnd([]);
      socket.resume();
      return;
    }
    const { upgrade = "", "sec-websocket-key": key } = this.#req!.headers;
    if (!isAgreedSwitch(upgrade, key as string | undefined, head.headers)) {
      throw new Error("Cannot change the protocol: backend has not agreed to what was asked");
    }
    const agreed = valuesOf(head.headers, "upgrade").join(", ");
    const headers = this.finalHeaders(head);
    headers.push("Upgrade", agreed, "Connection", "Upgrade");
    this.#user.writeHead(101, head.reason, headers);
    if (agreed.toLowerCase() === "websocket") this.#boundary = new WebsocketBoundary();
    this.startBody();
  }

  protected writeBody(bytes: Buffer): boolean {
    if (this.#watch !== null) this.#watch.active = true;
    const room = this.#user.socket.write(bytes);
    if (this.#boundary !== null) {
      this.#boundary.push(bytes);
      if (this.#isLeaving) this.#leaveBetweenFrames();
    }
    return room;
  }

  draining(): void {
    this.#isLeaving = true;
    this.#leaveBetweenFrames();
  }

  /** A WebSocket says why it ends as soon as no frame is under way; other protocols are left to the end of the grace. */
  #leaveBetweenFrames(): void {
    if (this.state !== "answered" || this.#boundary?.isOpen !== true) return;
    this.goneAway();
    this.#user.endAll(SERVICE_RESTART);
  }

  protected writeEnd(): void {
    if (this.#phase === "declined") this.#user.endAll();
    else this.#user.socket.end();
  }

  protected get untaken(): number {
    return this.#user.socket.writableLength;
  }

  protected writeError(code: IngressCode): void {
    const { headers, method } = this.#req!; // No head is out yet.
    const page = this.#pages(code, this.target.requestId, headers.accept, method!);
    this.noteStatus(page.status);
    this.#user.answer(page);
  }

  protected stopBody(): void {}

  protected breakOff(): void {
    resetConnection(this.#user.socket);
  }
}
