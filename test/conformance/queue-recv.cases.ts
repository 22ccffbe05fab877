import { assert } from "chai";
import { z } from "zod";
import { cases } from "./case.js";
import { eventually, isPending, rejectsWithRange } from "./expectations.js";
import { drain, nothing, parked, sendAll, take } from "./receiving.js";

const schema = z.string();

/** recv, stream, recvMany: waiting, ending, what a delivery says. */
export const queueRecv = cases("queue", {
  "recv without waiting gives null when nothing is ready": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    assert.isNull(await queue.recv({ wait: false }));
    assert.isNull(await queue.recv({ timeoutMs: 0 }));
    assert.deepEqual(await queue.recvMany({ max: 5, wait: false }), []);
    assert.deepEqual(await queue.recvMany({ max: 5, timeoutMs: 0 }), []);
  },

  "recv without waiting gives what is ready": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    assert.strictEqual((await queue.recv({ wait: false }))?.data, "a");
    assert.strictEqual((await queue.recv({ timeoutMs: 0 }))?.data, "b");
  },

  "recv waits for a message": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const waiting = queue.recv();
    await parked(queue);
    await queue.send({ data: "a" });
    assert.strictEqual((await waiting)?.data, "a");
  },

  "recv gives null when its time is over": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const waiting = queue.recv({ timeoutMs: 60_000 });
    const many = queue.recvMany({ max: 2, timeoutMs: 60_000 });
    await world.advance(50_000);
    await parked(queue, 2);
    await world.advance(10_001);
    assert.isNull(await waiting);
    assert.deepEqual(await many, []);
    await parked(queue, 0);
  },

  "recv waits 30 s by default": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const waiting = queue.recv();
    await parked(queue);
    await world.advance(25_000);
    await parked(queue);
    await world.advance(5_001);
    assert.isNull(await waiting);
  },

  "a wait longer than 2^31−1 ms does not end at once": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const waiting = queue.recv({ timeoutMs: 2 ** 32 });
    await parked(queue);
    await world.advance(2 ** 31);
    await parked(queue);
    assert.isTrue(await isPending(waiting));
    await queue.send({ data: "a" });
    assert.strictEqual((await waiting)?.data, "a");
  },

  "waiting calls are served in order of arrival": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const first = queue.recv();
    const second = queue.recv();
    const third = queue.recv();
    await parked(queue, 3);
    await sendAll(queue, "1", "2", "3");
    assert.deepEqual([(await first)?.data, (await second)?.data, (await third)?.data], ["1", "2", "3"]);
  },

  "an aborted recv gives null and swallows nothing": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const abort = new AbortController();
    const waiting = queue.recv({ signal: abort.signal });
    await parked(queue);
    abort.abort(new Error("enough"));
    assert.isNull(await waiting);
    await queue.send({ data: "a" });
    const message = await take(queue);
    assert.strictEqual(message.attempt, 1);
  },

  "a recv with an aborted signal gives null at once": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    assert.isNull(await queue.recv({ signal: AbortSignal.abort() }));
    assert.deepEqual(await queue.recvMany({ max: 1, signal: AbortSignal.abort() }), []);
    assert.strictEqual((await take(queue)).attempt, 1);
  },

  "aborting while a message is on its way loses nothing": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const abort = new AbortController();
    const waiting = queue.recv({ signal: abort.signal });
    await parked(queue);
    const sent = queue.send({ data: "a" });
    abort.abort();
    const got = await waiting;
    await sent;
    // Either it came in time, or it was handed back as if it had not been claimed.
    if (got === null) {
      const message = await queue.recv({ timeoutMs: 5000 });
      assert.include(message, { data: "a", attempt: 1 });
    } else assert.strictEqual(got.data, "a");
  },

  "a delivery says what it is": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { defaultLeaseMs: 60_000 } });
    const { messageId } = await queue.send({ data: "a", orderingKey: "k", meta: [1] });
    const message = await queue.recv({ consumerId: "me" });
    assert.include(message, { data: "a", messageId, attempt: 1, orderingKey: "k" });
    assert.deepEqual(message!.meta, [1]);
    assert.match(message!.deliveryId, /^[0-9A-Z]{26}$/);
    assert.isNumber(message!.leaseUntil);
  },

  "fields that were not given are absent": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    assert.doesNotHaveAnyKeys(await take(queue), ["orderingKey", "meta"]);
  },

  "leaseMs of the call wins over the queue's": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { defaultLeaseMs: 10_000 } });
    await sendAll(queue, "short", "long");
    const short = await take(queue);
    const long = await take(queue, { leaseMs: 100_000 });
    assert.approximately(long.leaseUntil - short.leaseUntil, 90_000, 5000);
    await world.advance(15_000);
    assert.isFalse(await short.ack());
    assert.isTrue(await long.ack());
  },

  "a held message is not handed out again": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    await take(queue);
    await nothing(queue);
    assert.include(await queue.stats(), { leased: 1, ready: 0, depth: 1 });
  },

  "timings out of range are refused": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    for (const bad of [-1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      await rejectsWithRange(queue.recv({ timeoutMs: bad }));
      await rejectsWithRange(queue.recv({ leaseMs: bad }));
      await rejectsWithRange(queue.recvMany({ max: bad }));
      await rejectsWithRange(queue.stream({ timeoutMs: bad }).next());
    }
    await rejectsWithRange(queue.recv({ leaseMs: 0 }));
    await rejectsWithRange(queue.recvMany({ max: 0 }));
    await rejectsWithRange(queue.recvMany({ max: 1001 }));
    assert.strictEqual((await queue.stats()).leased, 0);
  },

  "recvMany gives up to max, and does not wait for more": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b", "c");
    const two = await queue.recvMany({ max: 2 });
    assert.deepEqual(
      two.map(({ data }) => data),
      ["a", "b"],
    );
    const rest = await queue.recvMany({ max: 10 });
    assert.deepEqual(
      rest.map(({ data }) => data),
      ["c"],
    );
    assert.strictEqual(new Set([...two, ...rest].map(({ deliveryId }) => deliveryId)).size, 3);
    assert.isTrue(await two[1]!.ack());
    assert.isTrue(await two[0]!.nack());
    assert.deepEqual(await drain(queue), ["a"]);
  },

  "recvMany waits for the first message": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const waiting = queue.recvMany({ max: 10 });
    await parked(queue);
    await queue.sendMany([{ data: "a" }, { data: "b" }]);
    assert.deepEqual(
      (await waiting).map(({ data }) => data),
      ["a", "b"],
    );
  },

  "an aborted recvMany gives []": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const abort = new AbortController();
    const waiting = queue.recvMany({ max: 10, signal: abort.signal });
    await parked(queue);
    abort.abort();
    assert.deepEqual(await waiting, []);
  },

  "a stream gives one message after the other and goes on waiting": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const stream = queue.stream({ timeoutMs: 1000 });
    await queue.send({ data: "a" });
    assert.strictEqual((await stream.next()).value?.data, "a");
    const next = stream.next();
    await parked(queue);
    await world.advance(5000);
    await parked(queue);
    await queue.send({ data: "b" });
    assert.strictEqual((await next).value?.data, "b");
    await stream.return?.();
  },

  "stream without waiting ends when nothing is ready": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    assert.deepEqual(await drain(queue), ["a", "b"]);
    assert.deepEqual(await drain(queue), []);
  },

  "aborting a stream ends it, never throws": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const abort = new AbortController();
    const stream = queue.stream({ signal: abort.signal });
    const next = stream.next();
    await parked(queue);
    abort.abort(new Error("enough"));
    assert.deepEqual(await next, { done: true, value: undefined });
    assert.deepEqual(await stream.next(), { done: true, value: undefined });
    await parked(queue, 0);
  },

  "leaving a stream's loop claims nothing more": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    for await (const message of queue.stream()) {
      await message.ack();
      break;
    }
    assert.include(await queue.stats(), { leased: 0, ready: 1, waiters: 0 });
  },

  "calls of next that overlap are answered in order": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const stream = queue.stream();
    const first = stream.next();
    const second = stream.next();
    await sendAll(queue, "1", "2");
    assert.deepEqual([(await first).value?.data, (await second).value?.data], ["1", "2"]);
    await stream.return?.();
  },

  "reader has the same recv and stream": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const reader = queue.reader();
    await sendAll(queue, "a", "b");
    assert.strictEqual((await reader.recv())?.data, "a");
    assert.deepEqual(await drain(reader), ["b"]);
  },

  "autoTouch keeps the lease while the loop's body runs": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const stream = queue.stream({ autoTouch: true, leaseMs: 300 });
    const { value: message } = await stream.next();
    const { leaseUntil } = message!;
    // Renewed by a real timer, three times per lease.
    await eventually(() => message!.leaseUntil > leaseUntil, "the lease is renewed");
    await stream.return?.();
    const last = message!.leaseUntil;
    await world.advance(301);
    assert.isFalse(await message!.ack());
    assert.strictEqual(message!.leaseUntil, last, "it stops with the loop's body");
  },

  "a paused queue hands nothing out until resume": async (world) => {
    const id = world.id();
    const queue = world.queue({ id, schema });
    await sendAll(queue, "a");
    await queue.pause();
    await queue.pause();
    await nothing(world.queue({ id, schema }));
    assert.deepEqual(await drain(queue), []);
    await sendAll(queue, "b");
    const waiting = queue.recv();
    await parked(queue);
    assert.isTrue((await queue.stats()).paused);
    await queue.resume();
    assert.strictEqual((await waiting)?.data, "a");
    assert.isFalse((await queue.stats()).paused);
    assert.deepEqual(await drain(queue), ["b"]);
    await queue.resume();
  },

  "settling works while a queue is paused": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b", "c");
    const [a, b, c] = await queue.recvMany({ max: 3 });
    await queue.pause();
    assert.isTrue(await a!.ack());
    assert.isTrue(await b!.nack());
    assert.isTrue(await c!.touch());
    await nothing(queue);
    await queue.resume();
    assert.deepEqual(await drain(queue), ["b"]);
  },

  "a wait at a paused queue ends in time": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    await queue.pause();
    const waiting = queue.recv({ timeoutMs: 10_000 });
    await parked(queue);
    await world.advance(10_001);
    assert.isNull(await waiting);
  },

  "purge removes what waits and what is delayed, and counts it": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "held", "dead", "waiting", "waiting");
    await queue.send({ data: "delayed", delayMs: 60_000 });
    const [held, dead] = await queue.recvMany({ max: 2 });
    await dead!.nack({ deadLetter: true });
    assert.strictEqual(await queue.purge(), 3);
    assert.strictEqual(await queue.purge(), 0);
    assert.include(await queue.stats(), { depth: 1, leased: 1, ready: 0, delayed: 0, dead: 1 });
    await world.advance(20_000);
    assert.isTrue(await held!.nack());
    assert.deepEqual(await drain(queue), ["held"]);
  },

  "stats counts what is where": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    assert.deepEqual(await queue.stats(), {
      depth: 0,
      ready: 0,
      delayed: 0,
      leased: 0,
      dead: 0,
      waiters: 0,
      idempotencyKeys: 0,
      paused: false,
    });
    await queue.sendMany([
      { data: "leased" },
      { data: "dead" },
      { data: "ready", idempotencyKey: "k" },
      { data: "delayed", delayMs: 60_000 },
    ]);
    const [, second] = await queue.recvMany({ max: 2 });
    await second!.nack({ deadLetter: true });
    assert.deepEqual(await queue.stats(), {
      depth: 3,
      ready: 1,
      delayed: 1,
      leased: 1,
      dead: 1,
      waiters: 0,
      idempotencyKeys: 1,
      paused: false,
    });
  },

  "peek shows messages without claiming them": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.sendMany([
      { data: "held", orderingKey: "k" },
      { data: "ready", priority: 7 },
      { data: "delayed", delayMs: 60_000 },
    ]);
    const held = await take(queue);
    const [first, second, third] = await queue.peek();
    assert.include(first, { at: "leased", data: '"held"', attempt: 1, orderingKey: "k", untilAt: held.leaseUntil });
    assert.include(second, { at: "ready", data: '"ready"', attempt: 0, priority: 7 });
    assert.include(third, { at: "delayed", data: '"delayed"', attempt: 0 });
    assert.isNumber(third!.untilAt);
    assert.lengthOf(await queue.peek({ limit: 2 }), 2);
    await rejectsWithRange(queue.peek({ limit: 0 }));
    assert.strictEqual((await take(queue)).attempt, 1);
  },
});
