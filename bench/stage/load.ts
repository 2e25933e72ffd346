import type { BurstOptions } from "../load/burst.ts";
import type { DownloadOptions, Moved } from "../load/download.ts";
import type { ProbeOptions } from "../load/probe.ts";
import type { SlowReaderOptions } from "../load/slow_readers.ts";
import type { UploadOptions } from "../load/upload.ts";
import type { Echoes, WebsocketOptions } from "../load/websockets.ts";
import { Worker } from "./worker.ts";

/** Clients in a process of their own. */
export interface Load {
  readonly pid: number;
  download(options: DownloadOptions): Promise<Moved>;
  upload(options: UploadOptions): Promise<Moved>;
  /** Milliseconds to each first byte. */
  burst(options: BurstOptions): Promise<number[]>;
  /** Milliseconds to each head. */
  probe(options: ProbeOptions): Promise<number[]>;
  /** Milliseconds to each first byte. */
  slowReaders(options: SlowReaderOptions): Promise<number[]>;
  /** How many had lost their connection. */
  stopSlowReaders(): Promise<number>;
  websockets(options: WebsocketOptions): Promise<Echoes>;
  /** How many had been lost. */
  dropWebsockets(): Promise<number>;
  stop(): Promise<void>;
}

/** Most a probe may take beyond its own duration, in milliseconds. */
const GRACE_MS = 60_000;

/** Starts the process. */
export function startLoad(): Load {
  const worker = new Worker("load/main.ts");
  return {
    pid: worker.pid,
    download: (options) => worker.call("download", options, options.forMs + 4 * GRACE_MS),
    upload: (options) => worker.call("upload", options, options.forMs + 4 * GRACE_MS),
    burst: (options) => worker.call("burst", options),
    probe: (options) => worker.call("probe", options, options.forMs + GRACE_MS),
    slowReaders: (options) => worker.call("slowReaders", options, 4 * GRACE_MS),
    stopSlowReaders: () => worker.call("stopSlowReaders"),
    websockets: (options) => worker.call("websockets", options, options.forMs + GRACE_MS),
    dropWebsockets: () => worker.call("dropWebsockets"),
    stop: () => worker.stop(),
  };
}
