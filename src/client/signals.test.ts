import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { connect, queue, registry, retry, topic } from "../memory.js";
import { onAbort, sleep } from "./signals.js";

/** How many listeners a signal has while many wait under it, and when it has ended them. */
async function listeners(wait: (signal: AbortSignal) => Promise<unknown>): Promise<[during: number, after: number]> {
  const ending = new AbortController();
  const { signal } = ending;
  const waiting = Array.from({ length: 20 }, () => wait(signal));
  const during = getEventListeners(signal, "abort").length;
  ending.abort();
  await Promise.allSettled(waiting);
  return [during, getEventListeners(signal, "abort").length];
}

// Node warns of a leak at the eleventh listener of a signal; apps give one signal to everything that it ends.
describe("however many wait under one signal, it has one listener", () => {
  const backend = connect();
  const mail = queue({ id: "mail", schema: z.string(), backend });
  const news = topic({ id: "news", schema: z.string(), backend });
  const reader = registry({ id: "prices", schema: z.number(), backend }).reader();

  test.each([
    ["sleeps", (signal: AbortSignal) => sleep(60_000, signal)],
    ["calls that are tried again", (signal: AbortSignal) => retry(() => new Promise(() => {}), { signal })],
    ["receivers of a queue", (signal: AbortSignal) => mail.recv({ signal })],
    ["streams of a queue", (signal: AbortSignal) => mail.stream({ signal }).next()],
    ["listeners of a topic", (signal: AbortSignal) => news.live({ signal }).next()],
    ["receivers of a reader", (signal: AbortSignal) => reader.recv({ signal })],
  ])("%s", async (_, wait) => {
    expect(await listeners(wait)).toEqual([1, 0]);
  });
});

test("who let go is not run, also when another lets go of it while the signal aborts", () => {
  const ending = new AbortController();
  const ran: string[] = [];
  onAbort(ending.signal, () => {
    ran.push("first");
    release();
  });
  const release = onAbort(ending.signal, () => ran.push("second"));
  ending.abort();
  expect(ran).toEqual(["first"]);
});
