import { describe, expect, test } from "vitest";
import type { Exchange, HubCall } from "./hub-call.js";
import { Session } from "./session.js";

const exchange = (): Exchange => ({ open: true, replies: [], resolve() {} });

function sessionWith(seqs: number[]): Session {
  const session = new Session("tab");
  for (const seq of seqs) session.remember({ seq } as HubCall);
  return session;
}

describe("what a session remembers", () => {
  test("is what its tab still waits for, from the lowest on", () => {
    const session = sessionWith([1, 2, 3, 4]);
    session.settleBelow(3, []);
    expect([1, 2, 3, 4].map((seq) => session.find(seq) !== undefined)).toEqual([false, false, true, true]);
    expect(session.repeat(1, exchange()), "settled long ago").toBe(true);
  });

  test("is also a call below that waits, until it does no more", () => {
    const session = sessionWith([1, 2, 3, 4]);
    session.settleBelow(4, [2]);
    expect([1, 2, 3, 4].map((seq) => session.find(seq) !== undefined)).toEqual([false, true, false, true]);
    // An old connection's frame changes nothing.
    session.settleBelow(3, []);
    expect(session.find(2)).toBeDefined();
    session.settleBelow(4, []);
    expect(session.find(2)).toBeUndefined();
  });

  test("a call below that waits is new to a new hub", () => {
    const session = sessionWith([]);
    session.settleBelow(1000, [5]);
    expect(session.repeat(5, exchange())).toBe(false);
    expect(session.repeat(6, exchange())).toBe(true);
  });
});

describe("a session whose tab has left", () => {
  test("keeps what came of calls that have an effect once, until its tab needs it no more", () => {
    const session = new Session("tab");
    session.arrive("tab/1", 1, false);
    for (const seq of [1, 2, 3, 4]) {
      const op = seq === 3 ? "queue.claim" : "queue.ack";
      session.remember({ seq, op, owner: "tab/1", reply: [seq, `of ${seq}`], exchange: exchange() } as HubCall);
    }
    session.leave();
    expect(session.replies).toBe(3);
    session.arrive("tab/2", 2, false);
    session.settleBelow(2, []);
    const again = exchange();
    expect([1, 2, 3, 4].map((seq) => session.repeat(seq, again))).toEqual([true, true, false, true]);
    expect(again.replies).toEqual([
      [2, "of 2"],
      [4, "of 4"],
    ]);
    session.settleBelow(5, []);
    expect(session.replies).toBe(0);
  });
});
