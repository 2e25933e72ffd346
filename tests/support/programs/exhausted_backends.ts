/**
 * A process without a file descriptor left that is to reach backends: says in one JSON line what became of each way to do
 * so, and of each once there are descriptors again. See `tests/system/backend_exhausted.test.ts`.
 */
import { closeSync, openSync } from "node:fs";
import { env } from "node:process";
import { setImmediate } from "node:timers/promises";
import { AllowList } from "../../../src/connector/backend/allow_list.ts";
import { type BackendsOptions, createBackends } from "../../../src/connector/backend/backends.ts";
import { checkBackend } from "../../../src/connector/backend/check.ts";
import { ClientCertificates } from "../../../src/connector/backend/client_certificates.ts";
import { defaultLookup, type Lookup } from "../../../src/connector/backend/dial.ts";
import { proxyFor } from "../../../src/connector/outbound/proxy.ts";
import { Secret } from "../../../src/platform/secret.ts";
import { backendApp, exchange } from "../backend_exchange.ts";

const { http, h2, tls, cert, key } = JSON.parse(env.BACKENDS!) as Record<string, string>;
const held: number[] = [];

function exhaust(): void {
  try {
    for (;;) held.push(openSync("/dev/null", "r"));
  } catch {
    // All are taken.
  }
}

/** The last descriptor goes between the answer of the resolver and the connection. */
const lookup: Lookup = (_name, _options, callback) => {
  if (held.length > 0) exhaust();
  callback(null, [{ address: "127.0.0.1", family: 4 }, { address: "127.0.0.1", family: 4 }]);
};
const at = (origin: string, name = "backend.test") => origin.replace("127.0.0.1", name);

function backends(options: Partial<BackendsOptions> = {}) {
  return createBackends({ allow: new AllowList([]), lookup, ...options });
}

const clientCertificates = new ClientCertificates({ own: { certificate: cert!, key: key! } });
const proxy = { setting: "backendProxy", credentialsFile: "", credentials: new Secret(""), caFile: "" };
const withCertificate = { clientCertificate: "own", validate: false };
const get = { headers: ["Host", "backend.test"] };
const ways: Record<string, () => Promise<string>> = {
  "undici": () => over(backends(), http!),
  "node:http": () => over(backends(), http!, { headers: [...get.headers, "Keep-Alive", "x"] }),
  "node:http2": () => over(backends(), h2!, get, { backendProtocol: "h2c" }),
  "several addresses": () => over(backends(), at(http!)),
  "TLS": () => over(backends(), tls!, get, { tls: { validate: false } }),
  "a client's certificate": () => over(backends({ clientCertificates }), tls!, get, { tls: withCertificate }),
  "the system's resolver": () => over(backends({ lookup: defaultLookup }), at(http!, "localhost")),
  "a proxy": () => over(backends({ proxyFor: proxyFor({ ...proxy, url: http! }, {}) }), http!),
  "a proxy's own authority": () =>
    over(backends({ proxyFor: proxyFor({ ...proxy, url: http!, caFile: cert! }, {}) }), http!),
  "a check": async () => {
    const means = { allow: new AllowList([]), clientCertificates, proxyFor: undefined, lookup };
    return await checkBackend(
      backendApp(http!),
      { backends: backends(), means },
      new AbortController().signal,
    ) ??
      "200";
  },
  "a used connection that breaks": () => broken({}),
  "a used connection that breaks, node:http": () =>
    broken({ headers: [...get.headers, "Keep-Alive", "x"], target: "/break" }),
};

async function over(
  ...[all, origin, request = get, app = {}]: [
    ReturnType<typeof backends>,
    string,
    Parameters<typeof exchange>[2]?,
    Parameters<typeof backendApp>[1]?,
  ]
): Promise<string> {
  const recorder = exchange(all, backendApp(origin, app), request);
  const outcome = await recorder.outcome;
  await all.close();
  return "code" in outcome ? `${outcome.code}, begun ${outcome.begun}` : String(recorder.status);
}

/** The backend closes its connection under the second request, which is sent again on a fresh one, in vain. */
async function broken(request: Parameters<typeof exchange>[2]): Promise<string> {
  const all = backends();
  const app = backendApp(at(http!));
  const taken = held.length > 0;
  for (const descriptor of held.splice(0, 2)) closeSync(descriptor);
  const before = held.splice(0);
  await exchange(all, app, { ...request, target: "/" }).outcome;
  await setImmediate(); // Until then the connection is in use.
  if (taken) held.push(...before);
  const recorder = exchange(all, app, { ...request, target: "/break" });
  const outcome = await recorder.outcome;
  await all.close();
  return "code" in outcome ? `${outcome.code}, begun ${outcome.begun}` : String(recorder.status);
}

const without: Record<string, string> = {};
const again: Record<string, string> = {};
for (const [name, way] of Object.entries(ways)) {
  exhaust();
  without[name] = await way();
  for (const descriptor of held.splice(0)) closeSync(descriptor);
  again[name] = await way();
}
process.stdout.write(`${JSON.stringify({ without, again })}\n`);
