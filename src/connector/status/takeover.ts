import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import { StatusError } from "./errors.ts";

/** The protocol that a connection to the status socket is upgraded to. */
export const TAKEOVER_PROTOCOL = "sallyport-takeover";
/** Says who takes over. */
const INSTANCE_HEADER = "sallyport-instance";
/** What the new process says once it serves. */
const READY = "ready\n";

const ANSWER_MS = 10_000;

/** A process that has let go of its state folder and serves until its successor does. */
export interface Predecessor extends Disposable {
  /** The successor serves: the predecessor may finish what it has in flight and end. */
  ready(): void;
}

/**
 * Asks the connector that answers at `path` to hand its state folder to the process with this instance id. Resolves when
 * it has let go. Disposed before `ready`, or with its process, it takes the folder back. Throws `connector_not_running`,
 * `takeover_refused`.
 */
export async function askForTakeover(path: string, instanceId: string): Promise<Predecessor> {
  const asked = request({
    socketPath: path,
    path: "/",
    agent: false,
    headers: { connection: "Upgrade", upgrade: TAKEOVER_PROTOCOL, [INSTANCE_HEADER]: instanceId },
  });
  const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  try {
    const socket = await new Promise<Duplex>((resolve, reject) => {
      asked.once("upgrade", (_response, socket) => resolve(socket));
      asked.once("response", ({ statusCode }) => reject(new Error(`status ${statusCode}`)));
      asked.on("error", reject);
      asked.end();
    });
    socket.on("error", () => {});
    return {
      ready: () => void socket.end(READY),
      [Symbol.dispose]: () => void (socket.writableEnded || socket.destroy()),
    };
  } catch (cause) {
    asked.destroy();
    const { code, message } = cause as NodeJS.ErrnoException;
    const isAbsent = code === "ENOENT" || code === "ECONNREFUSED";
    throw new StatusError(
      isAbsent ? "connector_not_running" : "takeover_refused",
      `Cannot take over from the connector at "${path}": ${message}`,
      { cause },
    );
  } finally {
    clearTimeout(timer);
  }
}

/** The instance id of whoever asks to take over; null when this is no such request. */
export function successorOf({ method, headers }: IncomingMessage): string | null {
  const id = headers[INSTANCE_HEADER];
  if (method !== "GET" || headers.upgrade !== TAKEOVER_PROTOCOL) return null;
  return typeof id === "string" && /^[\w-]{1,64}$/.test(id) ? id : null;
}

/** Says that all is let go of; resolves to true when the successor serves, to false when it has gone instead. */
export async function untilSuccessorServes(socket: Duplex): Promise<boolean> {
  let said = "";
  socket.on("error", () => {});
  socket.on("data", (bytes: Uint8Array) => said = (said + String(bytes)).slice(-READY.length));
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${TAKEOVER_PROTOCOL}\r\n\r\n`,
  );
  await Promise.race([once(socket, "end"), once(socket, "close")]).catch(() => {});
  const isReady = said === READY;
  socket.destroy();
  return isReady;
}
