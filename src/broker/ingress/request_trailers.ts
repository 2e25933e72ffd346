import type { ServerHttp2Stream } from "node:http2";
import type { HeaderList } from "../../protocol/heads.ts";

const NONE: HeaderList = [];
const kept = new WeakMap<ServerHttp2Stream, HeaderList>();

/** Keeps the trailers of a request, which are told of as they come, whoever reads its body by then. */
export function keepTrailers(stream: ServerHttp2Stream): void {
  stream.on("trailers", (_headers, _flags, raw: string[]) => kept.set(stream, raw));
}

/** The trailers that were kept: names and values in turn, none where there were none. */
export function keptTrailers(stream: ServerHttp2Stream): HeaderList {
  return kept.get(stream) ?? NONE;
}
