import { assert } from "chai";
import { z } from "zod";
import { ONE_TAB, cases } from "./case.js";
import { rejectsWithRange } from "./expectations.js";
import { drain, nothing, parked, sendAll, take } from "./receiving.js";

const schema = z.string();
const DAY = 24 * 3_600_000;

/** ack, nack, touch, and leases that end. */
export const queueSettle = cases("queue", {
  "ack is true once, and the message is gone": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue);
    assert.isTrue(await message.ack());
    assert.isFalse(await message.ack());
    assert.isFalse(await message.nack());
    assert.isFalse(await message.touch());
    await world.advance(DAY);
    await nothing(queue);
    assert.strictEqual((await queue.stats()).depth, 0);
  },

  "nack puts the message at the back": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "1", "2", "3");
    const message = await take(queue);
    assert.isTrue(await message.nack());
    assert.isFalse(await message.nack());
    assert.isFalse(await message.ack());
    assert.isFalse(await message.touch());
    assert.deepEqual(await drain(queue), ["2", "3", "1"]);
  },

  "attempt counts claims, and each delivery has its own id": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { defaultLeaseMs: 10_000 } });
    const { messageId } = await queue.send({ data: "a" });
    const first = await take(queue);
    await first.nack();
    const second = await take(queue);
    await world.advance(10_001);
    const third = await take(queue);
    assert.deepEqual(
      [first, second, third].map(({ attempt }) => attempt),
      [1, 2, 3],
    );
    assert.deepEqual(
      [first, second, third].map((delivery) => delivery.messageId),
      [messageId, messageId, messageId],
    );
    assert.strictEqual(new Set([first, second, third].map(({ deliveryId }) => deliveryId)).size, 3);
  },

  "a former delivery cannot settle the present one": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const first = await take(queue);
    await first.nack();
    const second = await take(queue);
    assert.isFalse(await first.ack());
    assert.isFalse(await first.nack());
    assert.isFalse(await first.touch());
    assert.isTrue(await second.ack());
  },

  "nack wakes a waiting recv": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue);
    const waiting = queue.recv();
    await parked(queue);
    await message.nack();
    assert.include(await waiting, { data: "a", attempt: 2 });
  },

  "nack with a delay holds the message back": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    assert.isTrue(await (await take(queue)).nack({ delayMs: 60_000 }));
    assert.deepEqual(await drain(queue), ["b"]);
    await world.advance(50_000);
    await nothing(queue);
    const waiting = queue.recv();
    await parked(queue);
    await world.advance(10_001);
    assert.include(await waiting, { data: "a", attempt: 2 });
  },

  "a nack that is refused leaves the delivery as it was": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxNackDelayMs: 1000 } });
    await queue.send({ data: "a" });
    const message = await take(queue);
    for (const delayMs of [1001, -1, 1.5, Number.NaN, Infinity]) await rejectsWithRange(message.nack({ delayMs }));
    await rejectsWithRange(message.nack({ delayMs: 1001, deadLetter: true }));
    assert.include(await queue.stats(), { leased: 1, dead: 0 });
    assert.isTrue(await message.nack({ delayMs: 1000 }));
  },

  "maxNackDelayMs is 7 days by default": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue);
    await rejectsWithRange(message.nack({ delayMs: 7 * DAY + 1 }));
    assert.isTrue(await message.nack({ delayMs: 7 * DAY }));
  },

  "touch moves the end of the lease": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue, { leaseMs: 60_000 });
    const { leaseUntil } = message;
    await world.advance(50_000);
    assert.isTrue(await message.touch());
    assert.approximately(message.leaseUntil - leaseUntil, 50_000, 5000);
    await world.advance(50_000);
    await nothing(queue);
    assert.isTrue(await message.ack());
  },

  "touch takes a lease of its own, which the next touch keeps": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue, { leaseMs: 10_000 });
    assert.isTrue(await message.touch({ leaseMs: 100_000 }));
    await world.advance(90_000);
    assert.isTrue(await message.touch());
    await world.advance(90_000);
    assert.isTrue(await message.ack());
  },

  "touch refuses a lease out of range and keeps the one there is": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue);
    for (const leaseMs of [0, -1, 0.5, Number.NaN, Infinity]) await rejectsWithRange(message.touch({ leaseMs }));
    assert.isTrue(await message.ack());
  },

  "reference fault: ack, nack and touch are false after the lease's end": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { defaultLeaseMs: 10_000 } });
    await sendAll(queue, "a", "b", "c");
    const [a, b, c] = await queue.recvMany({ max: 3 });
    await world.advance(10_000);
    assert.isFalse(await a!.touch());
    assert.isFalse(await b!.ack());
    assert.isFalse(await c!.nack({ deadLetter: true }));
    assert.deepEqual(await drain(queue), ["a", "b", "c"]);
  },

  "a message whose lease ended goes to the back": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { defaultLeaseMs: 10_000 } });
    await sendAll(queue, "1", "2");
    await take(queue);
    await world.advance(10_001);
    await queue.send({ data: "3" });
    assert.deepEqual(await drain(queue), ["2", "1", "3"]);
  },

  "a parked recv sees a lease end": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    await take(queue, { leaseMs: 60_000 });
    const waiting = queue.recv({ timeoutMs: 300_000 });
    await parked(queue);
    await world.advance(60_001);
    assert.include(await waiting, { data: "a", attempt: 2 });
  },

  "reference fault: live deliveries are never handed out again": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "long", "short");
    const long = await take(queue, { leaseMs: 60_000 });
    await take(queue, { leaseMs: 10_000 });
    await world.advance(10_001);
    assert.strictEqual((await take(queue)).data, "short");
    await nothing(queue);
    assert.isTrue(await long.ack());
  },

  "leases longer than 2^31−1 ms work": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    const message = await take(queue, { leaseMs: 60 * DAY });
    await world.advance(59 * DAY);
    await nothing(queue);
    assert.isTrue(await message.ack());
  },

  "concurrent receivers never get the same delivery": async (world) => {
    const id = world.id();
    const handles = Array.from({ length: 5 }, () => world.queue({ id, schema }));
    const receiving = handles.flatMap((handle) => Array.from({ length: 20 }, () => handle.recv()));
    await handles[0]!.sendMany(Array.from({ length: 100 }, (_, i) => ({ data: String(i) })));
    const got = (await Promise.all(receiving)).map((message) => message!.data);
    assert.strictEqual(new Set(got).size, 100);
  },

  "a closed tab's messages are free at once, also for who waits already": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const here = world.queue({ id, schema });
      await sendAll(here, "a", "b");
      const tab = world.tab();
      const held = await take(tab.queue({ id, schema }), { leaseMs: DAY });
      const waiting = world.queue({ id, schema }).recvMany({ max: 2, timeoutMs: 5000 });
      assert.deepEqual(
        (await waiting).map(({ data }) => data),
        ["b"],
      );
      const next = here.recv({ timeoutMs: 5000 });
      await parked(here);
      await tab.backend.close();
      assert.include(await next, { data: held.data, attempt: 1 });
    },
  },
});
