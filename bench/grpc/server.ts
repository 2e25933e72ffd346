/** A gRPC server in a process of its own. Runs as a worker. */
import {
  Metadata,
  type MethodDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { serveCalls } from "../stage/serve_calls.ts";
import { HANG, same, sharedNow, UNARY } from "./service.ts";

type Call = ServerUnaryCall<Buffer, Buffer>;

/** When each call that was cancelled came to be so here. */
const cancelledAt: number[] = [];

function method(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

function start(): Promise<number> {
  const server = new Server({ "grpc.max_concurrent_streams": 1_000 });
  server.addService({ unary: method(UNARY), hang: method(HANG) }, {
    unary: (call: Call, callback: sendUnaryData<Buffer>) => callback(null, call.request),
    hang: (call: Call) => {
      call.on("cancelled", () => cancelledAt.push(sharedNow()));
      // Tells the caller that the call has begun.
      call.sendMetadata(new Metadata());
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync(
      "127.0.0.1:0",
      ServerCredentials.createInsecure(),
      (error, port) => error === null ? resolve(port) : reject(error),
    );
  });
}

/** Resolves once `count` calls have been cancelled. */
async function cancelled({ count }: { count: number }): Promise<number[]> {
  while (cancelledAt.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  return cancelledAt.splice(0);
}

serveCalls({ start, cancelled });
