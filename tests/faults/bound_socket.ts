/** What Node's own TCP handle can do, as far as it is used here. */
interface TcpHandle {
  readonly fd: number;
  bind(address: string, port: number): number;
  close(): void;
}

interface TcpBinding {
  TCP: new (type: number) => TcpHandle;
  constants: { SERVER: number };
}

/**
 * A socket that is bound to a free port of the loopback, to be handed to processes that listen on it: what a service
 * manager holds. Node has no public way to bind without accepting.
 */
export class BoundSocket implements Disposable {
  readonly #handle: TcpHandle;

  constructor() {
    const { binding } = process as unknown as { binding(name: "tcp_wrap"): TcpBinding };
    const { TCP, constants } = binding.call(process, "tcp_wrap");
    this.#handle = new TCP(constants.SERVER);
    const error = this.#handle.bind("127.0.0.1", 0);
    if (error !== 0) throw new Error(`Cannot bind: error ${error}`);
  }

  /** The socket's descriptor. */
  get descriptor(): number {
    return this.#handle.fd;
  }

  [Symbol.dispose](): void {
    this.#handle.close();
  }
}
