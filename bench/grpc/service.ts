/** Paths of the benchmark's gRPC service; messages are bytes. */
export const UNARY = "/sallyport.bench.Echo/Unary";
export const HANG = "/sallyport.bench.Echo/Hang";

/** Bytes of a message, both ways. */
export const MESSAGE_BYTES = 64;

/** A message is what it is. */
export function same(bytes: Buffer): Buffer {
  return bytes;
}

/** Milliseconds on a clock that all processes of this machine share. */
export function sharedNow(): number {
  return performance.timeOrigin + performance.now();
}
