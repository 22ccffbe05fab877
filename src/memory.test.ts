import { expect, test, vi } from "vitest";
import { z } from "zod";
import type * as entry from "./memory.js";

const schema = z.string();

/** The entry as a page sees it that loads it for the first time. */
async function load(): Promise<typeof entry> {
  vi.resetModules();
  return import("./memory.js");
}

test("handles without a backend of their own share the default one", async () => {
  const { queue } = await load();
  await queue({ id: "x", schema }).send({ data: "a" });
  expect((await queue({ id: "x", schema }).recv({ wait: false }))?.data).toBe("a");
});

test("connect names the default backend; handles bind it at their first call", async () => {
  const { connect, queue } = await load();
  const early = queue({ id: "x", schema });
  const backend = connect({ testClock: true });
  await early.send({ data: "a", delayMs: 60_000 });
  await backend.advanceClock(60_001);
  expect((await early.recv({ wait: false }))?.data).toBe("a");
});

test("connect after a call on the default backend throws", async () => {
  const { connect, queue } = await load();
  await queue({ id: "x", schema }).stats();
  expect(() => connect()).toThrow(expect.objectContaining({ code: "CONFLICT" }));
});

test("a backend of one's own is not the default's", async () => {
  const { connect, queue } = await load();
  const backend = connect();
  connect();
  await queue({ id: "x", schema, backend }).send({ data: "a" });
  expect(await queue({ id: "x", schema }).recv({ wait: false })).toBeNull();
});

test("connect({ store }) gives the backend of the handles with that store, and a new one once it was closed", async () => {
  const { connect, createMemoryStore, queue } = await load();
  const store = createMemoryStore();
  const backend = connect({ store });
  await queue({ id: "x", schema, store }).send({ data: "a" });
  expect(await queue({ id: "x", schema }).stats()).toMatchObject({ depth: 1 });
  await backend.close();
  expect(connect({ store })).not.toBe(backend);
  expect((await queue({ id: "x", schema }).recv({ wait: false }))?.data).toBe("a");
});

test("the clock moves only where that was asked for", async () => {
  const { connect } = await load();
  const backend = connect();
  expect(backend.status).toMatchObject({ mode: "memory", state: "ready", durable: false, tabs: 1 });
  await expect((async () => backend.advanceClock(1))()).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test("closing is told once, and leaves no timer behind", async () => {
  vi.useFakeTimers();
  try {
    const { connect, queue } = await load();
    const backend = connect();
    const states: string[] = [];
    const stop = backend.onStatus(({ state }) => states.push(state));
    const waiting = queue({ id: "x", schema }).recv();
    await queue({ id: "x", schema }).send({ data: "later", delayMs: 5000 });
    expect(vi.getTimerCount()).toBe(1);
    await backend.close();
    await backend.close();
    expect(await waiting).toBeNull();
    expect(states).toEqual(["closed"]);
    expect(vi.getTimerCount()).toBe(0);
    stop();
  } finally {
    vi.useRealTimers();
  }
});

test("what is due wakes a parked call by the real clock, too", async () => {
  vi.useFakeTimers();
  try {
    const { connect, queue } = await load();
    connect();
    const jobs = queue({ id: "x", schema });
    const waiting = jobs.recv();
    await jobs.send({ data: "a", delayMs: 100 });
    await vi.advanceTimersByTimeAsync(100);
    expect((await waiting)?.data).toBe("a");
  } finally {
    vi.useRealTimers();
  }
});

test("found: what a status listener throws is not the call's, nor keeps a store from being let go", async () => {
  const uncaught: (() => void)[] = [];
  vi.stubGlobal("queueMicrotask", (run: () => void) => uncaught.push(run));
  try {
    const { connect, createMemoryStore, queue } = await load();
    const store = { ...createMemoryStore(), lock: async () => () => (free = true) };
    let free = false;
    const backend = connect({ store });
    backend.onStatus(() => {
      throw new Error("the app's");
    });
    expect(await queue({ id: "x", schema, store }).send({ data: "a" })).toMatchObject({ duplicate: false });
    await backend.close();
    expect(free).toBe(true);
    expect(uncaught).toHaveLength(2);
    expect(uncaught[0]).toThrow("the app's");
  } finally {
    vi.unstubAllGlobals();
  }
});

test("found: ending a trace twice leaves others alone", async () => {
  const { connect, inspect, ratelimit } = await load();
  const backend = connect();
  const stop = new AbortController();
  const first = inspect(backend).trace({ signal: stop.signal });
  stop.abort();
  const second = inspect(backend).trace();
  expect(await first.next()).toMatchObject({ done: true });
  await first.return!();
  const seen = second.next();
  await ratelimit({ id: "x", limit: 1 }).check("a");
  expect((await seen).value).toMatchObject({ op: "ratelimit.check" });
  await second.return!();
});
