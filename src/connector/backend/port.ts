import type { ConnectorApp } from "../../protocol/app.ts";

/**
 * Header names and values in turn, in order, duplicates kept: `["Host", "a", "X", "1"]`. Each string is latin1,
 * one character a byte.
 */
export type HeaderList = string[];

/** A request to a backend, as it stands on the wire. */
export interface BackendRequest {
  method: string;
  /** Raw request target, origin-form, byte for byte. */
  target: string;
  headers: HeaderList;
  /** False: no body follows. True: the caller writes it with `BackendExchange.write` and ends it with `end`. */
  hasBody: boolean;
  /** True: the request asks to change the protocol. After a 101 what is written goes out as it is, until `end`. */
  upgrade?: boolean;
}

/** What a backend does, told in this order: informational*, response, data*, end - or failed at any point, once, last. */
export interface BackendHandler {
  informational(status: number, headers: HeaderList): void;
  /** `ended`: the head says itself that no body follows, and `end` without trailers comes next (HTTP/2). */
  response(status: number, reason: string, headers: HeaderList, ended?: boolean): void;
  /** Bytes of the body as they came: hand them on or copy, they may be reused never but are shared views. Return false to pause. */
  data(chunk: Uint8Array): boolean;
  /** `trailers` is empty when there were none. */
  end(trailers: HeaderList): void;
  /** Codes of `BACKEND_CODES`; `begun` false: certainly no byte of the request reached the backend. */
  failed(error: BackendFailure): void;
  /** More of the request body is welcome after `write` returned false. */
  drained(): void;
}

/** Why an exchange with a backend failed. */
export interface BackendFailure {
  code: string;
  message: string;
  /** False: the backend has certainly not seen the request. */
  begun: boolean;
}

/** A running exchange with a backend. */
export interface BackendExchange {
  /** One piece of the request body; false: wait for `drained`. */
  write(chunk: Uint8Array): boolean;
  /** End of the request body, with its trailers where there are any; undici has no way to send those. */
  end(trailers?: HeaderList): void;
  /** Let response data flow again after `data` returned false. */
  resume(): void;
  /** Give up: closes the connection to the backend at once; no handler call follows. */
  abort(): void;
}

/** The way to the backends of all apps. One exists per connector process. */
export interface Backends {
  dispatch(app: ConnectorApp, request: BackendRequest, handler: BackendHandler): BackendExchange;
  /** Apps whose pools are no longer needed (removed or changed): their idle connections close. */
  forget(appId: string): void;
  close(): Promise<void>;
}
