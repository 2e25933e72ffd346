import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { Log } from "../../platform/log.ts";
import type { IngressHandlers } from "../listener/handlers.ts";
import { absoluteForm, canonicalAuthority, canonicalPath } from "./canonical.ts";
import type { ClientFacts, ConnectionFacts, RequestFacts } from "./client_facts.ts";
import { errorResponse } from "./error_page.ts";
import type { IngressCode } from "./error_table.ts";
import type { ErrorPages, ExchangeContext, ExchangeTarget } from "./exchange.ts";
import { Http1Exchange } from "./http1_exchange.ts";
import { Http2Exchange } from "./http2_exchange.ts";
import { outgoingHeaders, outgoingHeadersOfStream, outgoingUpgradeHeaders } from "./request_headers.ts";
import type { RequestIds } from "./request_id.ts";
import { incomingHeadersOfStream } from "./response_headers.ts";
import { backendTarget, type Route } from "./route.ts";
import { UpgradeExchange, UpgradingUser } from "./upgrade_exchange.ts";
import type { Router } from "./router.ts";

/** Hosts that are the broker's own and not an app's. */
export interface OwnHosts {
  /** Serves enrolment; undefined on a listener where it is not offered. */
  enrolment?: { name: string; onRequest: (req: IncomingMessage, res: ServerResponse) => void };
  /** Names that belong to another class of listener: 421. */
  misdirected: readonly string[];
}

/** What the ingress needs. */
export interface IngressDeps extends ExchangeContext {
  router: Router;
  clientFacts: ClientFacts;
  requestIds: RequestIds;
  own: OwnHosts;
  /**
   * True where a client that was given the certificate for the first name may ask for the second on the same connection, as
   * browsers do for names of one certificate (RFC 9113 section 9.1.1). Undefined on a listener without TLS.
   */
  sameCertificate?: (serverName: string, host: string) => boolean;
  log: Log;
}

/** A request that is for an app: where it goes and what is told of the user. */
interface Admitted {
  route: Route;
  facts: RequestFacts;
  target: ExchangeTarget;
  /** Raw target for the backend. */
  backendTarget: string;
  /** `Host` for the backend. */
  host: string;
}

const END_STREAM = 0x1;

const pages: ErrorPages = (code, requestId, accept, method) =>
  errorResponse(code, { requestId, accept, method });

/** What a listener does with the requests of users: finds the app and starts the exchange. */
export function createIngress(deps: IngressDeps): IngressHandlers {
  const { clientFacts, own, requestIds, router } = deps;

  /** Finds the app by one canonical host and path; a code when there is none or the request is not sound. */
  function admit(
    connection: ConnectionFacts,
    authority: string,
    rawTarget: string,
    raw: readonly string[],
  ): Admitted | IngressCode {
    let target = rawTarget;
    let hostText = authority;
    if (target.charCodeAt(0) !== 0x2f && target !== "*") {
      const absolute = absoluteForm(target);
      if (absolute === undefined || absolute.authority.toLowerCase() !== authority.toLowerCase()) {
        return "bad_request";
      }
      target = absolute.target;
      hostText = absolute.authority;
    }
    const host = canonicalAuthority(hostText);
    const path = canonicalPath(target);
    if (host === undefined || path === undefined) return "bad_request";
    if (own.misdirected.includes(host.host) || isMisdirected(connection, host.host)) return "misdirected";
    const route = router.current().match(host.host, host.port, path);
    if (route === undefined) return "no_app";
    const inner = backendTarget(route, target, path);
    if (inner === undefined) return "bad_request";
    const facts = clientFacts.request(connection, raw, hostText);
    const { app } = route;
    return {
      route,
      facts,
      backendTarget: inner,
      host: app.hostHeader === "user" ? facts.host : route.internalHost,
      target: {
        appId: app.id,
        appName: app.name,
        groupId: app.groupId,
        revision: route.revision,
        requestId: requestIds(),
        clientIp: facts.address,
        scheme: facts.proto,
        host: host.host,
        path,
      },
    };
  }

  /** A proxy that ends TLS for users asks for whatever name it likes. */
  function isMisdirected({ serverName, trusted }: ConnectionFacts, host: string): boolean {
    if (serverName === "" || serverName === host || trusted) return false;
    return deps.sameCertificate?.(serverName, host) === false;
  }

  function refuse(code: IngressCode, req: IncomingMessage, res: ServerResponse): void {
    deps.counters.failed(code);
    const { status, headers, body } = pages(code, requestIds(), req.headers.accept, req.method!);
    // Where a request ends whose framing is not sound, nobody can say; the rest of a sound one is read to nowhere.
    const close = code === "bad_request" && !req.complete;
    res.writeHead(status, close ? [...headers, "connection", "close"] : [...headers]);
    res.end(body);
  }

  function onRequest(req: IncomingMessage, res: ServerResponse): void {
    const raw = req.rawHeaders;
    const authority = hostOf(raw);
    if (own.enrolment !== undefined && authority === own.enrolment.name) {
      return own.enrolment.onRequest(req, res);
    }
    const connection = clientFacts.connection(req.socket as never);
    const admitted = admit(connection, authority, req.url!, raw);
    if (typeof admitted === "string") return refuse(admitted, req, res);
    const { facts, host, target } = admitted;
    const { headers, hasBody, sound } = outgoingHeaders(raw, host, facts);
    // HTTP/1.0 knows no transfer codings (RFC 9112 section 6.1), and what calls itself HTTP/2.0 here is neither.
    if (
      !sound || req.httpVersionMajor !== 1 ||
      (req.httpVersionMinor === 0 && req.headers["transfer-encoding"] !== undefined)
    ) {
      return refuse("bad_request", req, res);
    }
    new Http1Exchange(deps, target, pages, req, res).start(admitted.backendTarget, headers, hasBody);
  }

  function onStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    rawHeaders: readonly string[],
  ): void {
    const authority = headers[":authority"] ?? headers.host ?? "";
    const refused = (code: IngressCode): void => {
      deps.counters.failed(code);
      const page = pages(code, requestIds(), headers.accept, String(headers[":method"]));
      stream.respond(incomingHeadersOfStream(page.status, [...page.headers]));
      stream.end(page.body);
    };
    if (headers[":method"] === "CONNECT") return refused("method_not_allowed");
    if (headers.host !== undefined && headers.host !== authority) return refused("bad_request");
    if (own.enrolment !== undefined && authority === own.enrolment.name) return refused("misdirected");
    const socket = stream.session?.socket;
    if (socket === undefined) return void stream.destroy();
    const connection = clientFacts.connection(socket as never);
    const admitted = admit(connection, authority, String(headers[":path"]), rawHeaders);
    if (typeof admitted === "string") return refused(admitted);
    const { facts, host, target } = admitted;
    const list = outgoingHeadersOfStream(rawHeaders, host, facts);
    const hasBody = (flags & END_STREAM) === 0;
    new Http2Exchange(deps, target, pages, stream, headers).start(admitted.backendTarget, list, hasBody);
  }

  function onUpgrade(req: IncomingMessage, socket: Duplex, first: Buffer): void {
    const raw = req.rawHeaders;
    const connection = clientFacts.connection(req.socket as never);
    const admitted = admit(connection, hostOf(raw), req.url!, raw);
    const user = new UpgradingUser(socket, first);
    const refused = (code: IngressCode): void => {
      deps.counters.failed(code);
      user.answer(pages(code, requestIds(), req.headers.accept, req.method!));
    };
    if (typeof admitted === "string") return refused(admitted);
    const { facts, host, target } = admitted;
    const { headers, sound } = outgoingUpgradeHeaders(raw, host, facts);
    if (!sound || req.httpVersion !== "1.1") return refused("bad_request"); // RFC 9110 section 7.8.
    new UpgradeExchange(deps, target, pages, req, user).start(admitted.backendTarget, headers);
  }

  /** What nobody has foreseen ends one request, not the process with all that others have under way. */
  function unforeseen(user: { destroy(): unknown }, error: unknown): void {
    deps.counters.failed("internal");
    deps.log.error("cannot serve request", { error: String(error), stack: (error as Error).stack });
    user.destroy();
  }

  function guardedRequest(req: IncomingMessage, res: ServerResponse): void {
    try {
      onRequest(req, res);
    } catch (error) {
      unforeseen(res, error);
    }
  }

  return {
    onRequest: guardedRequest,
    onCheckContinue: guardedRequest,
    onUpgrade(req, socket, first) {
      try {
        onUpgrade(req, socket, first);
      } catch (error) {
        unforeseen(socket, error);
      }
    },
    onStream(stream, headers, flags, rawHeaders) {
      stream.on("error", () => {}); // `close` follows, and says all that matters here.
      try {
        onStream(stream, headers, flags, rawHeaders);
      } catch (error) {
        unforeseen(stream, error);
      }
    },
    refuse: (code) => errorResponse(code, { requestId: requestIds() }),
  };
}

/** The value of the first Host; empty when there is none. Later ones are found when the headers are copied. */
function hostOf(raw: readonly string[]): string {
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!;
    if (name.length === 4 && (name === "Host" || name === "host" || name.toLowerCase() === "host")) {
      return raw[i + 1]!;
    }
  }
  return "";
}
