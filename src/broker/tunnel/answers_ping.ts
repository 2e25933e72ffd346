import type { Http2Session } from "node:http2";

/** True when the peer of a session answers a ping within `ms` milliseconds. */
export function answersPing(session: Http2Session, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    const answered = (alive: boolean): void => {
      clearTimeout(timer);
      resolve(alive);
    };
    try {
      session.ping((error) => answered(error === null));
    } catch {
      answered(false); // The session has gone.
    }
  });
}
