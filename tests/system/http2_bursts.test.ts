/** HTTP/2 requests that have ended before somebody serves them: more in a turn than begin in it, or a queue before the app. */
import assert from "node:assert/strict";
import type { ClientHttp2Session } from "node:http2";
import { after, before, test } from "node:test";
import { bodyOf, Http2Backend } from "../support/http2_backend.ts";
import { http2User } from "../support/http2_user.ts";
import { type IngressStage, ingressStage } from "../support/ingress_stage.ts";

const HOST = "burst.example.test";
const QUEUED = "queued.example.test";
/** More than begin in one turn. */
const COUNT = 60;

let stage: IngressStage;
let backend: Http2Backend;

before(async () => {
  stage = await ingressStage();
  backend = await Http2Backend.start();
  // Answers with what it got, trailers last.
  backend.answer = async ({ stream, headers }) => {
    let trailers = "";
    stream.on("trailers", (_headers, _flags, raw: string[]) => trailers = raw.join());
    const body = await bodyOf(stream);
    stream.respond({ ":status": 200 });
    stream.end(`${headers[":path"]} ${body} ${trailers}`);
  };
  const settings = { backendProtocol: "h2c" };
  await stage.publish("burst", `https://${HOST}`, backend.origin, settings);
  await stage.publish("queued", `https://${QUEUED}`, backend.origin, { ...settings, maxConcurrent: 1 });
});
after(async () => {
  await stage?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
});

/** Sends one whole request; its end, or its trailers, come in a frame of their own. */
async function post(session: ClientHttp2Session, host: string, path: string, body: string, sum?: string) {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    ":authority": host,
    ...(sum === undefined ? {} : { trailer: "x-sum" }),
  }, { endStream: false, waitForTrailers: sum !== undefined } as object);
  if (sum !== undefined) stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": sum }));
  if (body === "") stream.end();
  else stream.end(body);
  let answer = "";
  for await (const chunk of stream.setEncoding("latin1")) answer += chunk;
  return answer;
}

for (const host of [HOST, QUEUED]) {
  for (const body of ["", "abc"]) {
    for (const sum of [undefined, "7"]) {
      const what = `${body === "" ? "no body" : "a body"}, ${sum === undefined ? "no trailers" : "trailers"}`;
      test(`${COUNT} requests at once with ${what} to ${host}`, { timeout: 30_000 }, async () => {
        const session = await http2User({ port: stage.tlsPort, servername: host, ca: stage.ca });
        const paths = Array.from({ length: COUNT }, (_, i) => `/${i}`);
        const answers = await Promise.all(paths.map((path) => post(session, host, path, body, sum)));
        const trailers = sum === undefined ? "" : `x-sum,${sum}`;
        assert.deepEqual(answers, paths.map((path) => `${path} ${body} ${trailers}`));
        session.destroy();
        await stage.lanesIdle();
      });
    }
  }
}
