import { constants, type ServerHttp2Stream } from "node:http2";

/** Tells `user`, now or later, that the request body on a stream is whole: what a reset ends looks ended, too, and is not. */
export function whenBodyEnds(stream: ServerHttp2Stream, user: { bodyEnded(): void }): void {
  const ended = (): void => {
    if (!stream.aborted) user.bodyEnded();
  };
  // The end of an empty body is told though nobody listens.
  if (stream.readableEnded) ended();
  else stream.on("end", ended);
}

/** Lets go of a stream whose answer is whole, though the user's side is open: nothing more of it is wanted. */
export function closeAfterAnswer(stream: ServerHttp2Stream): void {
  const close = () => stream.close(constants.NGHTTP2_NO_ERROR); // RFC 9113 section 8.1.
  if (stream.writableFinished) close();
  else stream.once("finish", close);
  stream.resume();
}

/** After a reset without an error a stream would stay until somebody has read what it holds. */
export function destroyWhenAborted(stream: ServerHttp2Stream): void {
  stream.on("aborted", () => stream.destroy());
}
