/** The way to the server fails, and the server itself does not. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Backend } from "../../src/server.js";
import { closeAll, drain, newPrefix, outcome, parked, processAt, says, textQueue } from "./processes.js";
import { type Proxy, startProxy } from "./proxy.js";
import { type Server, startServer, until } from "./server.js";

let redis: Server;
const ways: Proxy[] = [];

beforeAll(async () => {
  redis = await startServer();
});
afterAll(async () => {
  await Promise.all(ways.map((way) => way.restore()));
  await closeAll();
  await Promise.all(ways.map((way) => way.stop()));
  await redis?.stop();
});

/** A process whose way to the server can be made to fail, and one that is not concerned. */
async function two() {
  const prefix = newPrefix();
  const proxy = await startProxy(redis.port);
  ways.push(proxy);
  const backend = processAt(proxy.url, prefix);
  return { proxy, backend, far: textQueue(backend), near: textQueue(processAt(redis.url, prefix)) };
}

/** The way is cut, and the process knows: what it asks for now is not sent. */
async function cutFrom({ proxy, backend }: { proxy: Proxy; backend: Backend }): Promise<void> {
  await proxy.cut();
  await until("it knows", () => !backend.status.connected);
}

// Some wait for as long as a call may.
describe.concurrent("an outage", { timeout: 30_000 }, () => {
  test("a parked recv goes on, with what came meanwhile", async () => {
    const { proxy, far, near } = await two();
    const received = far.recv();
    await parked(near);
    await proxy.cut();
    await near.send({ data: "meanwhile" });
    await proxy.restore();
    const returnedAt = performance.now();
    expect((await received)?.data).toBe("meanwhile");
    says("parked recv after the server's return", returnedAt);
  });

  test("so does one that was not even asked yet", async () => {
    const { proxy, far, near } = await two();
    await proxy.cut();
    const received = far.recv();
    await near.send({ data: "meanwhile" });
    await proxy.restore();
    const returnedAt = performance.now();
    expect((await received)?.data).toBe("meanwhile");
    says("first recv after the server's return", returnedAt);
  });

  test("a stream rides out several, and has everything once and in order", async () => {
    const { proxy, far, near } = await two();
    const sent = Array.from({ length: 30 }, (_, i) => `m${i}`);
    const got: string[] = [];
    const ending = new AbortController();
    const streaming = (async () => {
      for await (const message of far.stream({ signal: ending.signal })) {
        got.push(message.data);
        // An acknowledgement whose reply is lost may have been in force: what it says is then asked of the queue.
        await message.ack().catch(() => {});
        if (got.length === sent.length) ending.abort();
      }
    })();
    let returnedAt = 0;
    for (const [i, data] of sent.entries()) {
      if (i % 10 === 5) {
        await parked(near);
        await proxy.cut();
      }
      await near.send({ data });
      if (i % 10 === 7) {
        await proxy.restore();
        returnedAt = performance.now();
      }
    }
    await streaming;
    says("stream, the rest after the last return", returnedAt);
    expect(got).toEqual(sent);
    expect((await near.stats()).depth).toBe(0);
  });

  test("calls that were made in it run in their order once it is over", async () => {
    const { proxy, backend, far, near } = await two();
    await far.send({ data: "0" });
    await cutFrom({ proxy, backend });
    const sending = ["1", "2", "3"].map((data) => far.send({ data }));
    const many = far.sendMany([{ data: "4" }, { data: "5" }]);
    await proxy.restore();
    const returnedAt = performance.now();
    await Promise.all([...sending, many]);
    says("calls after the server's return", returnedAt);
    expect(await drain(near)).toEqual(["0", "1", "2", "3", "4", "5"]);
  });

  test("calls that cannot wait longer fail OFFLINE, may be retried, and did nothing", async () => {
    const { proxy, backend, far, near } = await two();
    await far.send({ data: "before" });
    await cutFrom({ proxy, backend });
    const calls = [far.send({ data: "lost" }), far.stats(), far.recv({ wait: false }), far.pause()];
    const errors = await Promise.all(calls.map((call) => call.then(String, (error: unknown) => error)));
    for (const error of errors) expect(error).toMatchObject({ code: "OFFLINE", retryable: true });
    await proxy.restore();
    expect(await far.stats()).toMatchObject({ depth: 1, leased: 0, paused: false });
    expect(await drain(near)).toEqual(["before"]);
  });

  test("a process that starts in it says OFFLINE, and works when it is over", async () => {
    const { proxy, far } = await two();
    await proxy.cut();
    expect(await outcome(far.send({ data: "a" }))).toBe("OFFLINE");
    await proxy.restore();
    await far.send({ data: "b" });
    expect(await drain(far)).toEqual(["b"]);
  });

  test("a call that is given up in it does not run afterwards", async () => {
    const { proxy, far, near } = await two();
    await far.send({ data: "a" });
    await proxy.cut();
    const ending = new AbortController();
    const received = far.recv({ signal: ending.signal });
    ending.abort();
    expect(await received).toBeNull();
    await proxy.restore();
    await far.stats();
    expect((await near.stats()).leased).toBe(0);
  });
});

describe.concurrent("a connection that is dead, though nobody said so", { timeout: 30_000 }, () => {
  test("is noticed while a call is due, and by who only waits", async () => {
    const { proxy, far, near } = await two();
    const received = far.recv({ timeoutMs: 60_000 });
    await parked(near);
    proxy.silence();
    const silentAt = performance.now();
    await near.send({ data: "meanwhile" });
    expect((await received)?.data).toBe("meanwhile");
    says("parked recv on a dead connection", silentAt);
  });

  test("is noticed by a one-shot call, which then does not know", async () => {
    const { proxy, far, near } = await two();
    await far.send({ data: "a" });
    proxy.silence();
    const silentAt = performance.now();
    expect(await outcome(far.send({ data: "b" }))).toBe("INDETERMINATE");
    says("send on a dead connection", silentAt);
    expect(await outcome(far.send({ data: "c", idempotencyKey: "c" }))).toMatchObject({ duplicate: false });
    expect(await drain(near)).toEqual(["a", "c"]);
  });
});

describe.concurrent("a reply that is lost", { timeout: 30_000 }, () => {
  test("leaves a send without a key INDETERMINATE; it had its effect once", async () => {
    const { proxy, far, near } = await two();
    await far.stats();
    proxy.loseReplyTo("has its effect");
    const error = await far.send({ data: "has its effect" }).then(String, (thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "INDETERMINATE", retryable: false });
    expect(await drain(near)).toEqual(["has its effect"]);
  });

  test("is asked for again under an idempotency key, and nothing is doubled", async () => {
    const { proxy, far, near } = await two();
    await far.stats();
    proxy.loseReplyTo("only once");
    const { messageId } = await far.send({ data: "only once", idempotencyKey: "k" });
    const [message, ...others] = await near.recvMany({ max: 10, wait: false });
    expect(others).toEqual([]);
    expect(message).toMatchObject({ data: "only once", messageId });

    proxy.loseReplyTo("two of them");
    const items = ["two of them", "second"].map((data) => ({ data, idempotencyKey: data }));
    const sent = await far.sendMany(items);
    expect(sent).toHaveLength(2);
    expect((await drain(near)).sort()).toEqual(["second", "two of them"]);
  });

  test("and no server comes back to ask: who cannot know says so, and the rest may be called again", async () => {
    const { proxy, backend, far, near } = await two();
    await far.stats();
    proxy.stopListening();
    proxy.loseReplyTo("nobody knows");
    const calls: Promise<unknown>[] = [far.send({ data: "nobody knows", idempotencyKey: "k" }), far.stats()];
    await until("it knows", () => !backend.status.connected);
    calls.push(far.send({ data: "not sent", idempotencyKey: "l" }));
    const errors = await Promise.all(calls.map((call) => call.then(String, (error: unknown) => error)));
    expect(errors).toMatchObject([{ code: "INDETERMINATE" }, { code: "OFFLINE" }, { code: "OFFLINE" }]);
    await proxy.restore();
    expect(await far.send({ data: "nobody knows", idempotencyKey: "k" })).toMatchObject({ duplicate: true });
    expect(await drain(near)).toEqual(["nobody knows"]);
  });

  test("of a claim: the same messages are given again, as the same delivery", async () => {
    const { proxy, backend, far, near } = await two();
    await near.sendMany([{ data: "a" }, { data: "b" }]);
    await far.stats();
    // The process's name is in the arguments of its claims.
    const { tabId } = backend.status;
    proxy.loseReplyTo(tabId);
    const received = await far.recvMany({ max: 2, wait: false });
    expect(received.map(({ data, attempt }) => [data, attempt])).toEqual([
      ["a", 1],
      ["b", 1],
    ]);
    expect(await Promise.all(received.map((message) => message.ack()))).toEqual([true, true]);
    expect((await near.stats()).depth).toBe(0);
  });

  test("of several calls in one script: each has an outcome of its own", async () => {
    const { proxy, far, near } = await two();
    await far.stats();
    proxy.loseReplyTo("first");
    const outcomes = await Promise.all([
      outcome(far.send({ data: "first", orderingKey: "k" })),
      outcome(far.send({ data: "second", orderingKey: "k", idempotencyKey: "2" })),
      outcome(far.send({ data: "third", orderingKey: "k" })),
      outcome(far.stats()),
    ]);
    expect(outcomes).toMatchObject(["INDETERMINATE", {}, "INDETERMINATE", { depth: 3 }]);
    expect(await drain(near)).toEqual(["first", "second", "third"]);
  });

  test("that comes after the call was given up: the message goes back, its attempt not counted", async () => {
    const { proxy, far, near } = await two();
    await near.send({ data: "a" });
    await far.stats();
    proxy.slow(200);
    const ending = new AbortController();
    const received = far.recv({ signal: ending.signal });
    // The server has claimed it for this call by then; the answer is on its way.
    await until("it is claimed", async () => (await near.stats()).leased === 1);
    ending.abort();
    expect(await received).toBeNull();
    const again = await near.recv();
    expect(again).toMatchObject({ data: "a", attempt: 1 });
  });
});
