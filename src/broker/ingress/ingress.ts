import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import type { Log } from "../../platform/log.ts";
import { Pace, REQUESTS_PER_TURN } from "../../tunnel/pace.ts";
import type { Maintenance } from "../app_traffic.ts";
import type { IngressHandlers } from "../listener/handlers.ts";
import { takeNoMoreOf } from "../listener/pipelining.ts";
import type { App } from "../model.ts";
import { affinityTag } from "./affinity_cookie.ts";
import { absoluteForm, canonicalAuthority, canonicalPath } from "../canonical.ts";
import type { ClientFacts, ConnectionFacts, RequestFacts } from "./client_facts.ts";
import { errorResponse } from "./error_page.ts";
import type { IngressCode } from "./error_table.ts";
import type { ErrorPages, ExchangeContext, ExchangeTarget } from "./exchange_context.ts";
import { type HeadLimits, headRefusal } from "./head_limits.ts";
import { Http1Exchange } from "./http1_exchange.ts";
import { Http2Exchange } from "./http2_exchange.ts";
import { outgoingHeaders, outgoingHeadersOfStream, outgoingUpgradeHeaders } from "./request_headers.ts";
import { hasLooped, markRequest } from "./request_marks.ts";
import type { IdleSweep } from "./idle_sweep.ts";
import type { RequestIds } from "./request_id.ts";
import { keepTrailers } from "./request_trailers.ts";
import { headersOfStream } from "./response_headers.ts";
import { backendTarget, type Route } from "./route.ts";
import { UpgradeExchange, UpgradingUser } from "./upgrade_exchange.ts";
import type { Router } from "./router.ts";
import type { Spread } from "../registry/spread.ts";
import { closeAfterAnswer } from "./user_stream.ts";
import { WebsocketStreamExchange } from "./websocket_stream_exchange.ts";

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
  heads: HeadLimits;
  /**
   * True where a client that was given the certificate for the first name may ask for the second on the same connection, as
   * browsers do for names of one certificate (RFC 9113 section 9.1.1). Undefined on a listener without TLS.
   */
  sameCertificate?: (serverName: string, host: string) => boolean;
  /** Ends upgraded connections that are silent for too long. */
  idleSweep: IdleSweep;
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

const pages: ErrorPages = (code, requestId, accept, method, maintenance) =>
  errorResponse(code, { requestId, accept, method, maintenance });

/** What a listener does with the requests of users: finds the app and starts the exchange. */
export function createIngress(deps: IngressDeps): IngressHandlers {
  const { clientFacts, heads, own, requestIds, router } = deps;
  const pace = new Pace(REQUESTS_PER_TURN);

  /** Finds the app by one canonical host and path; a code when there is none or the request is not sound. */
  function admit(
    connection: ConnectionFacts,
    authority: string,
    rawTarget: string,
    raw: readonly string[],
  ): Admitted | IngressCode {
    const over = headRefusal(heads, rawTarget, raw);
    if (over !== undefined) return over;
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
    if (hasLooped(raw, deps.via)) return "loop_detected";
    const inner = backendTarget(route, target, path);
    if (inner === undefined) return "bad_request";
    const facts = clientFacts.request(connection, raw, hostText);
    const { app } = route;
    return {
      route,
      facts,
      backendTarget: inner,
      host: app.hostHeader !== "user"
        ? route.internalHost
        : facts.host === hostText || leadsTo(app, facts.host, path)
        ? facts.host
        : hostText,
      target: {
        appId: app.id,
        appName: app.name,
        spread: route.spread,
        affinityKey: affinityKeyOf(route.spread, facts, raw),
        retries: route.retries,
        revision: route.revision,
        limits: route.limits,
        requestId: requestIds(),
        clientIp: facts.address,
        scheme: facts.proto,
        host: host.host,
        path,
        rules: route.response,
        user: facts,
      },
    };
  }

  /** Many proxies pass X-Forwarded-Host on as a user sent it: it chooses no host at the backend that is not the app's. */
  function leadsTo(app: App, authority: string, path: string): boolean {
    const said = canonicalAuthority(authority);
    return said !== undefined && router.current().match(said.host, said.port, path)?.app === app;
  }

  /** A proxy that ends TLS for users asks for whatever name it likes. */
  function isMisdirected({ serverName, trusted }: ConnectionFacts, host: string): boolean {
    if (serverName === "" || serverName === host || trusted) return false;
    return deps.sameCertificate?.(serverName, host) === false;
  }

  function refuse(
    code: IngressCode,
    req: IncomingMessage,
    res: ServerResponse,
    maintenance?: Maintenance,
  ): void {
    deps.counters.failed(code);
    const page = pages(code, requestIds(), req.headers.accept, req.method!, maintenance);
    const { status, headers, body } = page;
    // Where a request ends whose framing is not sound, nobody can say; the rest of a sound one is read to nowhere.
    const close = code === "bad_request" && !req.complete;
    if (close) takeNoMoreOf(req.socket);
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
    const { facts, host, route, target } = admitted;
    const { maintenance } = route.app;
    if (maintenance !== null) return refuse("maintenance", req, res, maintenance);
    const { headers, hasBody, sound } = outgoingHeaders(raw, host, facts);
    // HTTP/1.0 knows no transfer codings (RFC 9112 section 6.1), and what calls itself HTTP/2.0 here is neither.
    if (
      !sound || req.httpVersionMajor !== 1 ||
      (req.httpVersionMinor === 0 && req.headers["transfer-encoding"] !== undefined)
    ) {
      return refuse("bad_request", req, res);
    }
    markRequest(headers, facts, route, req.httpVersionMinor === 0 ? deps.via.http10 : deps.via.http11);
    new Http1Exchange(deps, target, pages, req, res).start(admitted.backendTarget, headers, hasBody);
  }

  /** A code where a stream asks for a connection that is not served (RFC 9113 section 8.5, RFC 8441). */
  function refusalOfConnect(headers: IncomingHttpHeaders): IngressCode | undefined {
    if (headers[":protocol"] === undefined) return "method_not_allowed";
    if (headers[":protocol"] !== "websocket") return "protocol_not_served";
    return headers["content-length"] === undefined ? undefined : "bad_request";
  }

  function onStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    rawHeaders: readonly string[],
  ): void {
    const isConnect = headers[":method"] === "CONNECT";
    const authority = headers[":authority"] ?? headers.host ?? "";
    const refused = (code: IngressCode, maintenance?: Maintenance): void => {
      deps.counters.failed(code);
      const page = pages(code, requestIds(), headers.accept, String(headers[":method"]), maintenance);
      stream.respond(headersOfStream(page.status, page.headers));
      stream.end(page.body);
      if (isConnect) closeAfterAnswer(stream);
    };
    const unserved = isConnect ? refusalOfConnect(headers) : undefined;
    if (unserved !== undefined) return refused(unserved);
    if (headers.host !== undefined && headers.host !== authority) return refused("bad_request");
    if (own.enrolment !== undefined && authority === own.enrolment.name) return refused("misdirected");
    const socket = stream.session?.socket;
    if (socket === undefined) return void stream.destroy();
    const connection = clientFacts.connection(socket as never);
    const admitted = admit(connection, authority, String(headers[":path"]), rawHeaders);
    if (typeof admitted === "string") return refused(admitted);
    const { facts, host, route, target } = admitted;
    const { maintenance } = route.app;
    if (maintenance !== null) return refused("maintenance", maintenance);
    const list = outgoingHeadersOfStream(rawHeaders, host, facts);
    markRequest(list, facts, route, deps.via.http2);
    if (isConnect) {
      const idle = { sweep: deps.idleSweep, afterMs: route.app.timeouts.upgradedIdleMs };
      return new WebsocketStreamExchange(deps, target, pages, stream, headers, idle)
        .start(admitted.backendTarget, list);
    }
    const hasBody = (flags & END_STREAM) === 0;
    new Http2Exchange(deps, target, pages, stream, headers).start(admitted.backendTarget, list, hasBody);
  }

  function onUpgrade(req: IncomingMessage, socket: Duplex, first: Buffer): void {
    const raw = req.rawHeaders;
    const connection = clientFacts.connection(req.socket as never);
    const admitted = admit(connection, hostOf(raw), req.url!, raw);
    const user = new UpgradingUser(socket);
    const refused = (code: IngressCode, maintenance?: Maintenance): void => {
      deps.counters.failed(code);
      user.answer(pages(code, requestIds(), req.headers.accept, req.method!, maintenance));
    };
    if (typeof admitted === "string") return refused(admitted);
    const { facts, host, route, target } = admitted;
    const { maintenance } = route.app;
    if (maintenance !== null) return refused("maintenance", maintenance);
    const { headers, sound } = outgoingUpgradeHeaders(raw, host, facts);
    if (!sound || req.httpVersion !== "1.1") return refused("bad_request"); // RFC 9110 section 7.8.
    markRequest(headers, facts, route, deps.via.http11);
    const idle = { sweep: deps.idleSweep, afterMs: route.app.timeouts.upgradedIdleMs };
    new UpgradeExchange(deps, target, pages, req, user, first, idle).start(
      admitted.backendTarget,
      headers,
    );
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

  function pacedRequest(req: IncomingMessage, res: ServerResponse): void {
    if (pace.mayBegin()) return guardedRequest(req, res);
    pace.later(() => {
      if (!res.destroyed) guardedRequest(req, res); // Else the user has left.
    });
  }

  function guardedStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    flags: number,
    rawHeaders: readonly string[],
  ): void {
    try {
      onStream(stream, headers, flags, rawHeaders);
    } catch (error) {
      unforeseen(stream, error);
    }
  }

  return {
    onRequest: pacedRequest,
    onCheckContinue: pacedRequest,
    onUpgrade(req, socket, first) {
      try {
        onUpgrade(req, socket, first);
      } catch (error) {
        unforeseen(socket, error);
      }
    },
    onStream(stream, headers, flags, rawHeaders) {
      stream.on("error", () => {}); // `close` follows, and says all that matters here.
      if ((flags & END_STREAM) === 0) keepTrailers(stream);
      if (pace.mayBegin()) return guardedStream(stream, headers, flags, rawHeaders);
      pace.later(() => {
        if (!stream.destroyed) guardedStream(stream, headers, flags, rawHeaders);
      });
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

/** What keeps the exchanges of one user together; empty where nothing has to. */
function affinityKeyOf({ affinity, appId }: Spread, facts: RequestFacts, raw: readonly string[]): string {
  if (affinity === "none") return "";
  return affinity === "address" ? facts.address : affinityTag(raw, appId);
}
