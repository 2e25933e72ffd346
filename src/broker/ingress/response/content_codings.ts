import type { Transform } from "node:stream";
import * as zlib from "node:zlib";

/** Codings of bodies that are undone and done again here; `x-gzip` is `gzip` (RFC 9110 section 8.4.1.3). */
export type Coding = "gzip" | "deflate" | "br" | "zstd";

/** What compresses, and can be told to let go of what it holds. */
export type Encoder = Transform & { flush(): void };

/** Of the compressors' settings: memory for each response stays below a megabyte or two. */
const { constants } = zlib;
const BROTLI = {
  params: {
    [constants.BROTLI_PARAM_QUALITY]: 4,
    [constants.BROTLI_PARAM_LGWIN]: 18,
  },
};
const ZSTD = {
  params: {
    [constants.ZSTD_c_compressionLevel]: 3,
    [constants.ZSTD_c_windowLog]: 18,
  },
};

const DECODERS: Readonly<Record<Coding, () => Transform>> = {
  gzip: () => zlib.createGunzip(),
  deflate: () => zlib.createInflate(),
  br: () => zlib.createBrotliDecompress(),
  zstd: () => zlib.createZstdDecompress(),
};

const ENCODERS: Readonly<Record<Coding, () => Encoder>> = {
  gzip: () => zlib.createGzip({ level: 5 }),
  deflate: () => zlib.createDeflate({ level: 5 }),
  br: () => zlib.createBrotliCompress(BROTLI),
  zstd: () => zlib.createZstdCompress(ZSTD),
};

/** The coding of a `Content-Encoding`; null for none, undefined for one, or several, that cannot be undone here. */
export function codingOf(contentEncoding: string): Coding | null | undefined {
  const name = contentEncoding.trim().toLowerCase();
  if (name === "" || name === "identity") return null;
  if (name === "x-gzip") return "gzip";
  return Object.hasOwn(DECODERS, name) ? name as Coding : undefined;
}

/** Makes what undoes a coding. */
export function decoderOf(coding: Coding): Transform {
  return DECODERS[coding]();
}

/** Makes what compresses. */
export function encoderOf(coding: Coding): Encoder {
  return ENCODERS[coding]();
}

/** Longest `Accept-Encoding` that is looked at, in characters. */
const LONGEST = 1_024;

/** Which of brotli and gzip a user likes best (RFC 9110 section 12.5.3); null for neither. Brotli where both are as good. */
export function preferredCoding(acceptEncoding: string | undefined): "br" | "gzip" | null {
  if (acceptEncoding === undefined) return null;
  let br: number | undefined;
  let gzip: number | undefined;
  let any = 0;
  let identity = 0;
  for (const item of acceptEncoding.slice(0, LONGEST).toLowerCase().split(",")) {
    const [name, ...parameters] = item.split(";").map((part) => part.trim());
    const q = qualityOf(parameters);
    if (name === "br") br = q;
    else if (name === "gzip" || name === "x-gzip") gzip = Math.max(gzip ?? 0, q);
    else if (name === "*") any = q;
    else if (name === "identity") identity = q;
  }
  br ??= any;
  gzip ??= any;
  const best = Math.max(br, gzip);
  if (best === 0 || best < identity) return null;
  return br === best ? "br" : "gzip";
}

function qualityOf(parameters: readonly string[]): number {
  const given = parameters.find((parameter) => parameter.startsWith("q="));
  if (given === undefined) return 1;
  const q = Number(given.slice(2));
  return q >= 0 && q <= 1 ? q : 0;
}
