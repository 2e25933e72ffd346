import type { Environment } from "../../platform/configuration.ts";
import { Secret } from "../../platform/secret.ts";
import type { ConnectorConfiguration } from "../config.ts";
import { type ProxyFor, proxyFor } from "./proxy.ts";

type BrokerProxyKeys = Pick<ConnectorConfiguration, "proxy" | "proxyCredentialsFile" | "proxyCaFile">;
type BackendProxyKeys = Pick<
  ConnectorConfiguration,
  "backendProxy" | "backendProxyCredentialsFile" | "backendProxyCaFile"
>;

/** The proxy on the way to the broker, for the tunnel as for enrolment. Throws `ProxyError`. */
export function brokerProxy(config: BrokerProxyKeys, env: Environment): ProxyFor {
  return proxyFor({
    url: config.proxy,
    setting: '"proxy"',
    credentialsFile: config.proxyCredentialsFile,
    credentials: new Secret(env.SALLYPORT_PROXY_CREDENTIALS ?? ""),
    caFile: config.proxyCaFile,
  }, env);
}

/** The proxy on the way to backends; never from `HTTPS_PROXY`. Throws `ProxyError`. */
export function backendProxy(config: BackendProxyKeys, env: Environment): ProxyFor {
  return proxyFor({
    url: config.backendProxy === "" ? "none" : config.backendProxy,
    setting: '"backendProxy"',
    credentialsFile: config.backendProxyCredentialsFile,
    credentials: new Secret(env.SALLYPORT_BACKEND_PROXY_CREDENTIALS ?? ""),
    caFile: config.backendProxyCaFile,
  }, {});
}
