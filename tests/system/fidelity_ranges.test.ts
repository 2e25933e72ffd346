/** Ranges, revalidation and lengths of files that nginx serves, through broker and connector. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { http2User, request2 } from "../support/http2_user.ts";
import { ingressStage } from "../support/ingress_stage.ts";
import { FILE, FILE_BYTES, NGINX, startNginx } from "../support/nginx.ts";
import { valueOf, Wire } from "../support/wire.ts";

const HOST = "ranges.example.test";

/** What both protocols tell of a response. */
interface Seen {
  status: number;
  body: string;
  header(name: string): string | undefined;
}

test("nginx: single and several ranges, 416, If-Range, HEAD and 304 on HTTP/1.1 and HTTP/2", {
  skip: NGINX === undefined && "needs nginx: apt-get install nginx-light",
}, async (t) => {
  const port = await startNginx(t);
  await using stage = await ingressStage();
  await stage.publish("ranges", `http://${HOST}`, `http://127.0.0.1:${port}`);
  using users = new DisposableStack();
  const wire = await Wire.plain(stage.plainPort);
  users.defer(() => wire.close());
  const user = await http2User({ port: stage.tlsPort, servername: HOST, ca: stage.ca });
  users.defer(() => user.destroy());

  const over1 = async (method: string, headers: Record<string, string>): Promise<Seen> => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    wire.send(`${method} /file HTTP/1.1\r\nHost: ${HOST}\r\n${lines}\r\n`);
    const { status, headers: list, body } = await wire.response(method === "HEAD");
    return { status, body, header: (name) => valueOf(list, name) };
  };
  const over2 = async (method: string, headers: Record<string, string>): Promise<Seen> => {
    const own = { ":method": method, ":path": "/file", ":authority": HOST };
    const { status, headers: list, body, end } = await request2(user, { ...own, ...headers });
    assert.equal(end, "end");
    return { status, body, header: (name) => list[name]?.toString() };
  };
  const file = FILE.toString("latin1");
  for (const ask of [over1, over2]) {
    const whole = await ask("GET", {});
    assert.ok(whole.status === 200 && whole.body === file);
    assert.equal(whole.header("accept-ranges"), "bytes");
    const etag = whole.header("etag")!;

    const head = await ask("HEAD", {});
    assert.deepEqual([head.status, head.body, head.header("content-length")], [200, "", String(FILE_BYTES)]);

    for (
      const [range, from, to] of [["5-9", 5, 9], ["-3", FILE_BYTES - 3, FILE_BYTES - 1], [
        "4000000-",
        4_000_000,
        FILE_BYTES - 1,
      ]] as const
    ) {
      const part = await ask("GET", { range: `bytes=${range}` });
      assert.ok(part.status === 206 && part.body === file.slice(from, to + 1), range);
      assert.equal(part.header("content-range"), `bytes ${from}-${to}/${FILE_BYTES}`);
    }

    const several = await ask("GET", { range: "bytes=0-1,10-12" });
    assert.equal(several.status, 206);
    const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(several.header("content-type")!)![1];
    const parts = several.body.split(`--${boundary}`).slice(1, -1);
    assert.deepEqual(parts.map((part) => part.split("\r\n\r\n")[1]!.trimEnd()), [
      file.slice(0, 2),
      file.slice(10, 13),
    ]);
    assert.equal(several.header("content-length"), String(several.body.length));

    const beyond = await ask("GET", { range: `bytes=${FILE_BYTES}-` });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.header("content-range"), `bytes */${FILE_BYTES}`);

    const same = await ask("GET", { range: "bytes=0-0", "if-range": etag });
    assert.deepEqual([same.status, same.body], [206, file[0]]);
    const changed = await ask("GET", { range: "bytes=0-0", "if-range": '"other"' });
    assert.ok(changed.status === 200 && changed.body === file);

    const fresh = await ask("GET", { "if-none-match": etag });
    assert.deepEqual([fresh.status, fresh.body, fresh.header("etag")], [304, "", etag]);
  }
});
