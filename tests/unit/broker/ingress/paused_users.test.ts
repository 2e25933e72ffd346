import assert from "node:assert/strict";
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { test } from "node:test";
import { PausedUsers } from "../../../../src/broker/ingress/paused_users.ts";

/** A connection that counts the questions and answers them when it is told to. */
class Asked extends Socket {
  questions = 0;
  answer: () => void = () => {};

  override write(...args: unknown[]): boolean {
    this.questions += 1;
    this.answer = args.at(-1) as () => void;
    return true;
  }
}

const paused = () => new Readable({ read() {} }).pause();

test("PausedUsers: asks again once it was answered, and no more when the body flows, is over, or its connection is", () => {
  using users = new PausedUsers();
  const [flows, over, closed] = [paused(), paused(), paused()];
  const sockets = [new Asked(), new Asked(), new Asked()] as const;
  for (const [i, body] of [flows, over, closed].entries()) {
    users.add(body, sockets[i]!);
    users.add(body, sockets[i]!);
  }
  const questions = () => sockets.map((socket) => socket.questions);
  users.look();
  assert.deepEqual(questions(), [1, 1, 1]);
  users.look();
  assert.deepEqual(questions(), [1, 1, 1], "the answers are waited for");
  for (const socket of sockets) socket.answer();
  users.look();
  assert.deepEqual(questions(), [2, 2, 2]);
  for (const socket of sockets) socket.answer();
  flows.resume();
  over.destroy();
  sockets[2].destroy();
  users.look();
  assert.deepEqual(questions(), [2, 2, 2]);
  users.add(flows.pause(), sockets[0]);
  users.look();
  assert.deepEqual(questions(), [3, 2, 2], "paused again");
});

test("PausedUsers: a TLS connection is asked below TLS; one that is no socket is left alone", () => {
  using users = new PausedUsers();
  const below = new Asked();
  const above = Object.assign(new Asked(), { _parent: below });
  users.add(paused(), above);
  users.add(paused(), new Readable() as never);
  users.look();
  assert.deepEqual([below.questions, above.questions], [1, 0]);
});
