import assert from "node:assert/strict";
import { once } from "node:events";
import { METHODS } from "node:http";
import { test } from "node:test";
import { backendApp, completed, exchange, failure, testBackends } from "../support/backend_exchange.ts";
import { answerOk, rawBackend } from "../support/raw_backend.ts";
import { until } from "../support/until.ts";

/** A header that only `node:http` can send: the same request goes through either adapter. */
const ADAPTERS: [string, string[]][] = [["undici", []], ["node:http", ["Keep-Alive", "x"]]];
const TARGET = '/a/../b//c%2e%2e?q="|^`{}\\<>\xe9\x80\xff#f';

for (const [name, extra] of ADAPTERS) {
  test(`${name}: target, header order, case, duplicates and bytes reach the backend untouched`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
    const sent = [
      "X-b",
      "1",
      "x-A",
      "\xe9\x80\xff",
      "Cookie",
      "a=1",
      "X-B",
      "2",
      "cookie",
      "b=2",
      "X-Empty",
      "",
    ];
    const request = { target: TARGET, headers: ["Host", "user.test", ...sent, ...extra] };
    await completed(exchange(testBackends(t), backendApp(backend.origin), request));
    const lines = backend.requests[0]!.head.split("\r\n");
    assert.equal(lines[0], `GET ${TARGET} HTTP/1.1`);
    assert.deepEqual(lines.filter((line) => /^host:/i.test(line)).map((line) => line.slice(6)), [
      "user.test",
    ]);
    const others = lines.slice(1).filter((line) =>
      line !== "" && !/^(host|connection|keep-alive):/i.test(line)
    );
    assert.deepEqual(others, [
      "X-b: 1",
      "x-A: \xe9\x80\xff",
      "Cookie: a=1",
      "X-B: 2",
      "cookie: b=2",
      "X-Empty: ",
    ]);
  });

  test(`${name}: status, reason, headers, body and trailers come back untouched`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => {
      const head = "HTTP/1.1 299 Na Ja!\r\nX-b: \xe9\x80\xff\r\nSet-Cookie: a\r\nset-cookie: b\r\nX-B: 2\r\n";
      const body =
        "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: \xe9\r\nx-t: 2\r\n\r\n";
      socket.write(head + body, "latin1");
    });
    const request = { headers: ["Host", "a", ...extra] };
    const got = await completed(exchange(testBackends(t), backendApp(backend.origin), request));
    assert.equal(got.status, 299);
    assert.equal(got.reason, "Na Ja!");
    assert.deepEqual(got.headers.slice(0, 8), [
      "X-b",
      "\xe9\x80\xff",
      "Set-Cookie",
      "a",
      "set-cookie",
      "b",
      "X-B",
      "2",
    ]);
    assert.equal(got.body, "abc");
    assert.deepEqual(await got.outcome, { trailers: ["X-T", "\xe9", "x-t", "2"] });
  });

  test(`${name}: 1xx responses are passed on as they come`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => {
      socket.write(
        `HTTP/1.1 103 Early Hints\r\nLink: a\r\nlink: b\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${answerOk()}`,
      );
    });
    const request = { headers: ["Host", "a", ...extra] };
    const got = await completed(exchange(testBackends(t), backendApp(backend.origin), request));
    assert.deepEqual(got.informationals, [
      { status: 103, headers: ["Link", "a", "link", "b"] },
      { status: 102, headers: [] },
    ]);
    assert.equal(got.body, "ok");
  });

  test(`${name}: connections are used again, also after HEAD and 304`, async (t) => {
    const backend = await rawBackend(t, ({ socket, head }) => {
      if (head.startsWith("GET /304")) socket.write("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n");
      else if (head.startsWith("HEAD")) {
        socket.write("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\n");
      } else socket.write(answerOk());
    });
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    for (const [method, target] of [["GET", "/"], ["HEAD", "/"], ["GET", "/304"], ["GET", "/"]] as const) {
      const got = await completed(
        exchange(backends, app, { method, target, headers: ["Host", "a", ...extra] }),
      );
      assert.equal(got.status, target === "/304" ? 304 : 200);
      // Both adapters give a connection back only after the event that tells of the end.
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(backend.connections.length, 1);
  });

  test(`${name}: every method but CONNECT reaches the backend, with and without a body`, async (t) => {
    const backend = await rawBackend(t, ({ socket, head }) => {
      socket.write(head.startsWith("HEAD") ? "HTTP/1.1 200 OK\r\n\r\n" : answerOk());
    });
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    for (const method of METHODS.filter((one) => one !== "CONNECT")) {
      const headers = ["Host", "a", ...extra];
      await completed(exchange(backends, app, { method, headers }));
      assert.match(backend.requests.at(-1)!.head, new RegExp(`^${method} / HTTP/1.1\r\n`));
      await completed(
        exchange(backends, app, { method, headers: [...headers, "Content-Length", "3"] }, "abc"),
      );
      assert.equal(backend.requests.at(-1)!.body, "abc", method);
      assert.match(backend.requests.at(-1)!.head, /\r\ncontent-length: 3\r\n/i);
    }
  });

  test(`${name}: an abort closes the connection to the backend at once, and nothing more is told`, async (t) => {
    const arrived = Promise.withResolvers<void>();
    const backend = await rawBackend(t, ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
      arrived.resolve();
    });
    const request = { headers: ["Host", "a", ...extra] };
    const got = exchange(testBackends(t), backendApp(backend.origin), request);
    await Promise.all([arrived.promise, got.answered]);
    const closed = once(backend.connections[0]!, "close");
    let told = false;
    void got.outcome.then(() => told = true);
    got.exchange.abort();
    await closed;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(told, false);
  });

  test(`${name}: an abort before the response head closes the connection too`, async (t) => {
    const arrived = Promise.withResolvers<void>();
    const backend = await rawBackend(t, () => arrived.resolve());
    const got = exchange(testBackends(t), backendApp(backend.origin), { headers: ["Host", "a", ...extra] });
    await arrived.promise;
    const closed = once(backend.connections[0]!, "close");
    got.exchange.abort();
    got.exchange.abort();
    await closed;
  });

  test(`${name}: an abort while still connecting sends no byte`, async (t) => {
    const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
    const backends = testBackends(t);
    const app = backendApp(backend.origin);
    const headers = ["Host", "a", ...extra];
    exchange(backends, app, { headers, target: "/aborted" }).exchange.abort();
    await completed(exchange(backends, app, { headers, target: "/next" }));
    assert.deepEqual(backend.requests.map(({ head }) => head.split(" ")[1]), ["/next"]);
  });
}

test("a connection that a user's authentication may have made their own is used for nobody else", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const backends = testBackends(t);
  const app = backendApp(backend.origin);
  for (const authorization of [[], ["Authorization", "Negotiate YII="], ["Authorization", "NTLM TlRM"], []]) {
    for (const [, extra] of ADAPTERS) {
      await completed(exchange(backends, app, { headers: ["Host", "a", ...authorization, ...extra] }));
    }
  }
  const owned = (head: string) => /^authorization:/im.test(head);
  const connections = (is: boolean) =>
    backend.requests.filter(({ head }) => owned(head) === is).map(({ connection }) => connection);
  assert.equal(new Set(connections(true)).size, 4);
  assert.ok(connections(false).every((one) => !connections(true).includes(one)));
  for (const { head } of backend.requests) {
    assert.equal(/^connection: close\r$/im.test(head), owned(head), head);
  }
});

test("an explicit Content-Length: 0 reaches the backend with every method", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const backends = testBackends(t);
  for (const method of ["POST", "DELETE", "MKCOL", "GET"]) {
    const request = { method, headers: ["Host", "a", "Content-Length", "0"] };
    await completed(exchange(backends, backendApp(backend.origin), request));
    assert.match(backend.requests.at(-1)!.head, /\r\ncontent-length: 0\r\n/i, method);
  }
});

test("a body of unknown length is chunked, and its head leaves before its first byte", async (t) => {
  const arrived = Promise.withResolvers<string>();
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const backends = testBackends(t);
  const got = exchange(backends, backendApp(backend.origin), {
    method: "GET",
    target: "/\xe9",
    hasBody: true,
  });
  const poll = setInterval(() => {
    const [socket] = backend.connections;
    if (socket !== undefined && socket.bytesRead > 0) arrived.resolve("head");
  }, 5);
  t.after(() => clearInterval(poll));
  assert.equal(await arrived.promise, "head");
  got.exchange.write(Buffer.from("abc"));
  got.exchange.end();
  await completed(got);
  const { head, body } = backend.requests[0]!;
  assert.match(head, /^GET \/\xe9 HTTP\/1.1\r\nHost: backend.test\r\nTransfer-Encoding: chunked\r\n/);
  assert.equal(body, "3\r\nabc\r\n0\r\n\r\n");
});

test("Expect: 100-continue goes end to end, bytes of the head untouched", async (t) => {
  const backend = await rawBackend(t, ({ socket, head }) => {
    if (head.includes("100-continue")) {
      socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      socket.once("data", () => socket.write(answerOk()));
    }
  });
  const got = exchange(testBackends(t), backendApp(backend.origin), {
    method: "POST",
    headers: ["Host", "a", "Expect", "100-continue", "X", "\xe9", "Content-Length", "3"],
    hasBody: true,
  });
  const inform = got.informational.bind(got);
  got.informational = (status, headers) => {
    inform(status, headers);
    got.exchange.write(Buffer.from("abc"));
    got.exchange.end();
  };
  await completed(got);
  assert.deepEqual(got.informationals.map(({ status }) => status), [100]);
  assert.match(backend.requests[0]!.head, /\r\nX: \xe9\r\n/);
});

test("OPTIONS * and an absolute target arrive as they are", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const backends = testBackends(t);
  for (const [method, target] of [["OPTIONS", "*"], ["GET", "http://x.test/a//b"]] as const) {
    await completed(exchange(backends, backendApp(backend.origin), { method, target }));
    assert.equal(backend.requests.at(-1)!.head.split("\r\n")[0], `${method} ${target} HTTP/1.1`);
  }
});

test("a backend that sends 100 Continue unasked works from its second request on", async (t) => {
  const backend = await rawBackend(
    t,
    ({ socket }) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${answerOk()}`),
  );
  const backends = testBackends(t);
  const app = backendApp(backend.origin);
  const request = { method: "POST", headers: ["Host", "a", "Content-Length", "3"] };
  const first = await failure(exchange(backends, app, request, "abc"));
  assert.deepEqual([first.code, first.begun], ["backend_bad_response", true]);
  const second = await completed(exchange(backends, app, request, "abc"));
  assert.deepEqual([second.status, second.body], [200, "ok"]);
});

test("a 304 or 204 that states a length is complete without a body", async (t) => {
  const backend = await rawBackend(t, ({ socket, head }) => {
    socket.write(`HTTP/1.1 ${head.split(" ")[1]!.slice(1)} X\r\nContent-Length: 5\r\n\r\n`);
  });
  const backends = testBackends(t);
  for (const status of [304, 204]) {
    const got = await completed(exchange(backends, backendApp(backend.origin), { target: `/${status}` }));
    assert.deepEqual([got.status, got.bytes], [status, 0]);
  }
});

test("a request whose framing is ambiguous, and CONNECT, never leave", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const backends = testBackends(t);
  const app = backendApp(backend.origin);
  for (
    const request of [
      { method: "CONNECT", target: "a:1" },
      { headers: ["Host", "a", "Content-Length", "1", "Transfer-Encoding", "chunked"], hasBody: true },
      { target: "/a b" },
      { headers: ["Host", "a", "X", "1\r\nY: 2"] },
      { headers: ["Host", "a", "X Y", "1"] },
      { headers: ["Host", "a", "X", "1\r\nY: 2"], target: "*" },
    ]
  ) {
    const { code, begun } = await failure(exchange(backends, app, request));
    assert.deepEqual([code, begun], ["backend_bad_request", false]);
  }
  assert.equal(backend.requests.length, 0);
});

test("changed settings get new connections while what runs on the old ones ends well", async (t) => {
  const held: (() => void)[] = [];
  const backend = await rawBackend(t, ({ socket, head }) => {
    if (head.startsWith("GET /slow")) held.push(() => socket.write(answerOk("slow")));
    else socket.write(answerOk());
    if (head.startsWith("GET /new")) held.forEach((release) => release());
  });
  const backends = testBackends(t);
  const old = backendApp(backend.origin);
  const slow = ADAPTERS.map(([, extra]) =>
    exchange(backends, old, { target: "/slow", headers: ["Host", "a", ...extra] })
  );
  await completed(exchange(backends, old));
  await until("both are at the backend", () => held.length >= 2);
  const before = backend.connections.length;
  await completed(exchange(backends, { ...old, revision: 2 }, { target: "/new" }));
  for (const one of slow) assert.equal((await completed(one)).body, "slow");
  assert.equal(backend.connections.length, before + 1);
  await Promise.all(
    backend.connections.slice(0, before).map((socket) => socket.closed || once(socket, "close")),
  );
});

test("forget closes idle connections", async (t) => {
  const backend = await rawBackend(t, ({ socket }) => socket.write(answerOk()));
  const backends = testBackends(t);
  for (const [, extra] of ADAPTERS) {
    await completed(exchange(backends, backendApp(backend.origin), { headers: ["Host", "a", ...extra] }));
  }
  const closed = Promise.all(backend.connections.map((socket) => once(socket, "close")));
  backends.forget("app");
  backends.forget("app");
  await closed;
  assert.equal(backend.connections.length, 2);
});

test("more exchanges than may run or wait fail as busy; those that wait get their turn", async (t) => {
  const held: (() => void)[] = [];
  const backend = await rawBackend(t, ({ socket }) => {
    held.push(() => socket.write(answerOk()));
    if (held.length === 2) held.forEach((release) => release());
    if (held.length > 2) held.at(-1)!();
  });
  const backends = testBackends(t, { connectionsPerApp: 2, waitingPerApp: 1 });
  const app = backendApp(backend.origin);
  const three = [exchange(backends, app), exchange(backends, app), exchange(backends, app)];
  const { code, begun } = await failure(exchange(backends, app));
  assert.deepEqual([code, begun], ["backend_busy", false]);
  await Promise.all(three.map(completed));
  assert.equal(backend.connections.length, 2);
});

test("close fails what runs, closes every connection, and refuses what comes later", async (t) => {
  const both = Promise.withResolvers<void>();
  const backend = await rawBackend(t, () => backend.requests.length === 2 && both.resolve());
  const backends = testBackends(t);
  const app = backendApp(backend.origin);
  const running = ADAPTERS.map(([, extra]) => exchange(backends, app, { headers: ["Host", "a", ...extra] }));
  await both.promise;
  const closed = Promise.all(backend.connections.map((socket) => once(socket, "close")));
  await backends.close();
  await closed;
  for (const one of running) assert.equal((await failure(one)).code, "backend_closed");
  assert.equal((await failure(exchange(backends, app))).code, "backend_closed");
});
