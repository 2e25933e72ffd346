/** Callers of gRPC in a process of their own. Runs as a worker. */
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { serveCalls } from "../stage/serve_calls.ts";
import { HANG, MESSAGE_BYTES, same, sharedNow, UNARY } from "./service.ts";

/** Whom to call: in the clear, or over TLS as `host` where there is a `ca`. */
export interface Callee {
  port: number;
  host?: string;
  ca?: string;
}

/** Unary calls, `atOnce` of them under way at any time on one channel, for `forMs` milliseconds. */
export interface CallsOptions extends Callee {
  atOnce: number;
  forMs: number;
}

/** How many calls were answered in how many milliseconds, and how long each took. */
export interface Called {
  calls: number;
  ms: number;
  p50Ms: number;
  p99Ms: number;
}

function clientOf({ port, host, ca }: Callee): Client {
  const how = ca === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(ca));
  return new Client(`127.0.0.1:${port}`, how, {
    "grpc.enable_retries": 0,
    "grpc.use_local_subchannel_pool": 1,
    ...(host === undefined ? {} : { "grpc.ssl_target_name_override": host, "grpc.default_authority": host }),
  });
}

function once(client: Client, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(UNARY, same, same, message, (error: ServiceError | null, answer?: Buffer) => {
      if (error !== null) reject(error);
      else if (answer!.length !== message.length) reject(new Error(`answered ${answer!.length} bytes`));
      else resolve();
    });
  });
}

async function calls({ atOnce, forMs, ...callee }: CallsOptions): Promise<Called> {
  const client = clientOf(callee);
  const message = Buffer.alloc(MESSAGE_BYTES, 1);
  try {
    await once(client, message);
    const times: number[] = [];
    const started = performance.now();
    const until = started + forMs;
    const caller = async () => {
      for (let now = performance.now(); now < until;) {
        await once(client, message);
        const then = now;
        now = performance.now();
        times.push(now - then);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, caller));
    const ms = performance.now() - started;
    times.sort((a, b) => a - b);
    const at = (share: number) => times[Math.floor((times.length - 1) * share)] ?? 0;
    return { calls: times.length, ms, p50Ms: at(0.5), p99Ms: at(0.99) };
  } finally {
    client.close();
  }
}

/** Makes `count` calls one after another, each cancelled once it has begun; when each was. */
async function cancels({ count, ...callee }: Callee & { count: number }): Promise<number[]> {
  const client = clientOf(callee);
  const at: number[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const ended = Promise.withResolvers<void>();
      const call = client.makeUnaryRequest(
        HANG,
        same,
        same,
        Buffer.alloc(1),
        new Metadata(),
        () => ended.resolve(),
      );
      call.on("metadata", () => {
        at.push(sharedNow());
        call.cancel();
      });
      await ended.promise;
    }
    return at;
  } finally {
    client.close();
  }
}

serveCalls({ calls, cancels });
