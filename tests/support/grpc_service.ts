import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type requestCallback,
  Server,
  ServerCredentials,
  type StatusObject,
} from "@grpc/grpc-js";
import type { ServerIdentity } from "./backend_certificates.ts";

const same = (bytes: Buffer): Buffer => bytes;

function method(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/sallyport.test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const ECHO = {
  unary: method("Unary", false, false),
  clientStream: method("ClientStream", true, false),
  serverStream: method("ServerStream", false, true),
  bidi: method("Bidi", true, true),
};

/** How the four kinds of call are served; messages are bytes. A type, so that it passes for a record. */
export type GrpcHandlers = {
  unary: handleUnaryCall<Buffer, Buffer>;
  clientStream: handleClientStreamingCall<Buffer, Buffer>;
  serverStream: handleServerStreamingCall<Buffer, Buffer>;
  bidi: handleBidiStreamingCall<Buffer, Buffer>;
};

/** A gRPC server of grpc-js in this process. */
export interface GrpcBackend extends AsyncDisposable {
  readonly port: number;
  /** `http://...` or `https://...`. */
  readonly origin: string;
  readonly server: Server;
}

/** Starts one on the loopback; over TLS when it has an identity. */
export async function grpcBackend(
  handlers: GrpcHandlers,
  options: { identity?: ServerIdentity; channel?: ChannelOptions } = {},
): Promise<GrpcBackend> {
  const { identity, channel } = options;
  const server = new Server({
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    ...channel,
  });
  server.addService(ECHO, handlers);
  const how = identity === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(null, [
      { private_key: Buffer.from(identity.key), cert_chain: Buffer.from(identity.cert) },
    ]);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", how, (error, port) => error === null ? resolve(port) : reject(error));
  });
  return {
    port,
    origin: `${identity === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    server,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await Promise.resolve();
    },
  };
}

/** A client of the service, of grpc-js. */
export class GrpcClient implements Disposable {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  /** A user of `host` who reaches the TLS ingress at `port`. */
  static ofIngress(host: string, port: number, ca: string): GrpcClient {
    return new GrpcClient(
      new Client(`127.0.0.1:${port}`, credentials.createSsl(Buffer.from(ca)), {
        ...UNLIMITED,
        "grpc.ssl_target_name_override": host,
        "grpc.default_authority": host,
      }),
    );
  }

  /** A client that goes to a server in the clear. */
  static direct(port: number): GrpcClient {
    return new GrpcClient(new Client(`127.0.0.1:${port}`, credentials.createInsecure(), UNLIMITED));
  }

  unary(message: Buffer, callback: requestCallback<Buffer>, options: CallFacts = {}): ClientUnaryCall {
    const { path } = ECHO.unary;
    const { metadata = new Metadata(), ...rest } = options;
    return this.#client.makeUnaryRequest(path, same, same, message, metadata, rest, callback);
  }

  clientStream(callback: requestCallback<Buffer>): ClientWritableStream<Buffer> {
    return this.#client.makeClientStreamRequest(ECHO.clientStream.path, same, same, callback);
  }

  serverStream(message: Buffer, options: CallFacts = {}): ClientReadableStream<Buffer> {
    const { metadata = new Metadata(), ...rest } = options;
    return this.#client.makeServerStreamRequest(ECHO.serverStream.path, same, same, message, metadata, rest);
  }

  bidi(): ClientDuplexStream<Buffer, Buffer> {
    return this.#client.makeBidiStreamRequest(ECHO.bidi.path, same, same);
  }

  /** One unary call; rejects with what grpc-js says. */
  call(message: Buffer, options: CallFacts = {}): Promise<Answered> {
    return new Promise((resolve, reject) => {
      let metadata = new Metadata();
      let answer: Buffer | undefined;
      const call = this.unary(message, (error, value) => {
        if (error !== null) reject(error);
        else answer = value;
      }, options);
      call.on("metadata", (received: Metadata) => metadata = received);
      call.on("status", (status: StatusObject) => {
        if (answer !== undefined) resolve({ answer, metadata, trailers: status.metadata });
      });
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** What a caller may say of a call. */
export interface CallFacts {
  metadata?: Metadata;
  deadline?: Date | number;
}

/** A unary call that went well. */
export interface Answered {
  answer: Buffer;
  metadata: Metadata;
  trailers: Metadata;
}

const UNLIMITED: ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
};
