import { Worker } from "./worker.ts";

/** A running WebSocket server. */
export interface WebsocketBackend {
  readonly pid: number;
  /** Without a slash at the end. */
  origin: string;
  stop(): Promise<void>;
}

/** Starts one that sends every message back. */
export async function startWebsocketBackend(): Promise<WebsocketBackend> {
  const worker = new Worker("backend/websockets.ts");
  const port = await worker.call<number>("listen");
  return { pid: worker.pid, origin: `http://127.0.0.1:${port}`, stop: () => worker.stop() };
}
