import { z } from "zod";
import { parseListenAddress } from "./listen_address.ts";
import { parseProxyUrl } from "./proxy_url.ts";
import { Secret } from "./secret.ts";

/** A kind of configuration value: how it is checked, and how it is read where it comes as text (flag, variable). */
export interface ValueType<T> {
  /** What a person reads in the documentation, e.g. `integer`, `list of host:port`. */
  readonly name: string;
  readonly schema: z.ZodType<T>;
  /** How a flag is given: with a value, with a value and more than once, or bare. */
  readonly flag: "value" | "repeated" | "bare";
  /** True: never printed, not even when it is wrong. */
  readonly masked: boolean;
  /** Text to what `schema` checks; returns what it got where it cannot do better. */
  fromText(text: string): unknown;
}

function valueType<T>(
  name: string,
  schema: z.ZodType<T>,
  fromText: (text: string) => unknown,
  flag: ValueType<T>["flag"] = "value",
): ValueType<T> {
  return { name, schema, fromText, flag, masked: false };
}

const asIs = (text: string) => text;
const items = (text: string) => text.split(",").map((item) => item.trim()).filter((item) => item !== "");

/** Any text, the empty one too. */
export function text(): ValueType<string> {
  return valueType("text", z.string(), asIs);
}

/** A text that is never printed. */
export function secretText(): ValueType<Secret> {
  const schema = z.string().min(1).transform((value) => new Secret(value));
  return { ...valueType<Secret>("secret text", schema, asIs), masked: true };
}

/** A whole number within bounds, both included. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): ValueType<number> {
  const name = max === Number.MAX_SAFE_INTEGER ? `integer, at least ${min}` : `integer, ${min} to ${max}`;
  return valueType(name, z.int().min(min).max(max), (value) => /^-?\d+$/.test(value) ? Number(value) : value);
}

/** `true` or `false`; as a flag `--name` or `--no-name`. */
export function bool(): ValueType<boolean> {
  const words: Record<string, boolean> = { true: true, false: false, "1": true, "0": false };
  return valueType("true or false", z.boolean(), (value) => words[value] ?? value, "bare");
}

/** One of a few words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(
  ...words: Words
): ValueType<Words[number]> {
  return valueType(words.map((word) => `\`${word}\``).join(", "), z.enum(words), asIs);
}

/** `host:port` or `[ipv6]:port`, checked and kept as text; `parseListenAddress` takes it apart. May be empty. */
export function address(): ValueType<string> {
  const schema = z.string().refine((value) => value === "" || parseListenAddress(value) !== null, {
    error: "expected host:port or [ipv6]:port",
  });
  return valueType("host:port, or empty", schema, asIs);
}

const LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?";
/** At most 253 characters; the last label has a letter, else it were an address. */
const DNS_NAME = new RegExp(`^(?=.{1,253}$)(${LABEL}\\.)*(?=[^.]*[a-z])${LABEL}$`);

/** A DNS name, in lower case whatever case it was given in. */
export function dnsName(): ValueType<string> {
  const schema = z.string().toLowerCase().regex(DNS_NAME, {
    error: "expected a name such as tunnel.example.com",
  });
  return valueType("DNS name", schema, asIs);
}

/** Where an HTTP proxy is, or that there is none; never with a password, and never printed: it might hold one. */
export function proxyUrl(): ValueType<string> {
  const schema = z.string().refine(isProxyUrl, {
    error:
      "expected none, http://host:port or https://host:port; credentials go into a file or variable of their own",
  });
  return { ...valueType("URL, `none` or `direct`", schema, asIs), masked: true };
}

function isProxyUrl(value: string): boolean {
  if (value === "" || value === "none" || value === "direct") return true;
  return parseProxyUrl(value)?.credentials === null;
}

/** Several texts; as text they are separated by commas. */
export function textList(name = "list of text"): ValueType<readonly string[]> {
  return valueType(name, z.array(z.string().min(1)), items, "repeated");
}

/** IP networks in CIDR notation; as text they are separated by commas. */
export function cidrList(): ValueType<readonly string[]> {
  const network = z.union([z.cidrv4(), z.cidrv6()], {
    error: "expected a network such as 10.0.0.0/8 or fd00::/8",
  });
  return valueType("list of CIDR networks", z.array(network), items, "repeated");
}

/** Anything that a schema describes; as text it is JSON. */
export function structured<T>(name: string, schema: z.ZodType<T>): ValueType<T> {
  return valueType(name, schema, (value) => {
    try {
      return JSON.parse(value);
    } catch {
      return value;
    }
  });
}

const PAIRS = z.record(
  z.string().max(64).regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, "is not a name"),
  z.strictObject({ certificate: z.string().min(1), key: z.string().min(1) }),
);

/** Certificates with their keys, PEM files, by name. */
export function certificatePairs(): ValueType<Record<string, { certificate: string; key: string }>> {
  return structured("map of name to { certificate, key }; JSON in a flag or variable", PAIRS);
}
