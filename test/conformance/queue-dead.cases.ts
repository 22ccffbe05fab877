import { assert } from "chai";
import { z } from "zod";
import type { CapacityError } from "../../src/memory.js";
import { cases } from "./case.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";
import { drain, nothing, parked, sendAll, take } from "./receiving.js";

const schema = z.string();
const DAY = 24 * 3_600_000;

/** Dead letters: why, and what can be done with them. */
export const queueDead = cases("queue", {
  "a nack after maxDeliveries claims is the end": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { maxDeliveries: 3 } });
    const { messageId } = await queue.send({ data: "a", orderingKey: "k", meta: { m: 1 } });
    for (const error of ["first", "second"])
      assert.isTrue(await (await take(queue)).nack({ error, reason: "ignored" }));
    assert.lengthOf((await queue.dlq.list()).entries, 0);
    assert.isTrue(await (await take(queue)).nack());
    await nothing(queue);
    const { entries, next } = await queue.dlq.list();
    assert.isUndefined(next);
    const [dead] = entries;
    assert.include(dead, {
      messageId,
      data: "a",
      attempts: 3,
      reason: "max_deliveries_exceeded",
      lastError: "second",
      orderingKey: "k",
    });
    assert.deepEqual(dead!.meta, { m: 1 });
    assert.isNumber(dead!.movedAt);
  },

  "maxDeliveries is 10 by default": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    for (let i = 1; i <= 10; i++) {
      const message = await take(queue);
      assert.strictEqual(message.attempt, i);
      await message.nack();
    }
    await nothing(queue);
    assert.strictEqual((await queue.dlq.list()).entries[0]?.attempts, 10);
  },

  "a lease that ends after maxDeliveries claims is the end": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { maxDeliveries: 1, defaultLeaseMs: 10_000 } });
    await queue.send({ data: "a" });
    await take(queue);
    await world.advance(10_001);
    await nothing(queue);
    assert.include((await queue.dlq.list()).entries[0], { reason: "max_deliveries_exceeded", attempts: 1 });
  },

  "nack's reason and error are kept at the last delivery": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { maxDeliveries: 1 } });
    await queue.send({ data: "a" });
    await (await take(queue)).nack({ reason: "broken", error: "Error: no" });
    assert.include((await queue.dlq.list()).entries[0], { reason: "broken", lastError: "Error: no" });
  },

  "nack with deadLetter gives up at once": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    const [a, b] = await queue.recvMany({ max: 2 });
    assert.isTrue(await a!.nack({ deadLetter: true }));
    assert.isFalse(await a!.nack({ deadLetter: true }));
    assert.isTrue(await b!.nack({ deadLetter: true, reason: "poison", error: "boom" }));
    const { entries } = await queue.dlq.list();
    assert.include(entries[0], { data: "a", reason: "nack", attempts: 1 });
    assert.notProperty(entries[0], "lastError");
    assert.include(entries[1], { data: "b", reason: "poison", lastError: "boom" });
  },

  "a message older than maxMessageAgeMs is dead": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessageAgeMs: 60_000 } });
    await queue.send({ data: "old" });
    await world.advance(50_000);
    await queue.send({ data: "young" });
    await world.advance(10_001);
    assert.deepEqual(await drain(queue), ["young"]);
    assert.include((await queue.dlq.list()).entries[0], { data: "old", reason: "expired", attempts: 0 });
  },

  "reference fault: old messages behind a younger one go to the dead letters at claim": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessageAgeMs: 60_000 } });
    await queue.send({ data: "old" });
    const old = await take(queue);
    await world.advance(20_000);
    await queue.send({ data: "young" });
    await old.nack();
    await world.advance(41_000);
    assert.deepEqual(await drain(queue), ["young"]);
    assert.include((await queue.dlq.list()).entries[0], { data: "old", reason: "expired", attempts: 1 });
  },

  "age runs from when a message could first be delivered": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessageAgeMs: 60_000 } });
    await queue.send({ data: "a", delayMs: 100_000 });
    await world.advance(150_000);
    assert.strictEqual((await take(queue)).data, "a");
  },

  "maxMessageAgeMs is 7 days by default": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a" });
    await world.advance(7 * DAY - 60_000);
    assert.strictEqual((await take(queue)).data, "a");
    await world.advance(61_000);
    await nothing(queue);
    assert.strictEqual((await queue.dlq.list()).entries[0]?.reason, "expired");
  },

  "list is oldest first, in pages": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const all = "abcdefg".split("");
    await sendAll(queue, ...all);
    const held = await queue.recvMany({ max: 10 });
    for (const message of held) await message.nack({ deadLetter: true });
    const first = await queue.dlq.list({ limit: 3 });
    assert.deepEqual(
      first.entries.map(({ data }) => data),
      ["a", "b", "c"],
    );
    // Pages do not shift when entries before them go.
    await queue.dlq.remove(first.entries[2]!.messageId);
    const second = await queue.dlq.list({ limit: 3, after: first.next! });
    assert.deepEqual(
      second.entries.map(({ data }) => data),
      ["d", "e", "f"],
    );
    const third = await queue.dlq.list({ limit: 3, after: second.next! });
    assert.deepEqual(
      third.entries.map(({ data }) => data),
      ["g"],
    );
    assert.isUndefined(third.next);
    const whole = await queue.dlq.list({ limit: 6 });
    assert.lengthOf(whole.entries, 6);
    assert.isUndefined(whole.next, "no further page when the last entry is on this one");
  },

  "list gives 100 entries by default and refuses what it cannot read": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { maxDeliveries: 1 } });
    await queue.sendMany(Array.from({ length: 101 }, (_, i) => ({ data: String(i) })));
    for (const message of await queue.recvMany({ max: 101 })) await message.nack();
    const page = await queue.dlq.list();
    assert.lengthOf(page.entries, 100);
    assert.isString(page.next);
    for (const limit of [0, -1, 1.5, Number.NaN]) await rejectsWithRange(queue.dlq.list({ limit }));
    await rejectsWith(queue.dlq.list({ after: "not a cursor" }), "VALIDATION");
  },

  "remove takes one entry": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    for (const message of await queue.recvMany({ max: 2 })) await message.nack({ deadLetter: true });
    const [a] = (await queue.dlq.list()).entries;
    assert.isTrue(await queue.dlq.remove(a!.messageId));
    assert.isFalse(await queue.dlq.remove(a!.messageId));
    assert.isFalse(await queue.dlq.remove("no such id"));
    assert.deepEqual(
      (await queue.dlq.list()).entries.map(({ data }) => data),
      ["b"],
    );
  },

  "redrive brings entries back: same ids, attempt 0, at the back": async (world) => {
    const queue = world.queue({ id: world.id(), schema, delivery: { maxDeliveries: 1 } });
    await sendAll(queue, "a", "b", "c");
    const dead = await queue.recvMany({ max: 2 });
    for (const message of dead) await message.nack({ error: "boom" });
    assert.strictEqual(await queue.dlq.redrive({ all: true }), 2);
    assert.lengthOf((await queue.dlq.list()).entries, 0);
    assert.strictEqual((await take(queue)).data, "c");
    const again = await take(queue);
    assert.include(again, { data: "a", messageId: dead[0]!.messageId, attempt: 1 });
    assert.deepEqual(await drain(queue), ["b"]);
  },

  "redrive of some ids counts those it found": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b", "c");
    const dead = await queue.recvMany({ max: 3 });
    for (const message of dead) await message.nack({ deadLetter: true });
    const [a, , c] = dead.map(({ messageId }) => messageId);
    assert.strictEqual(await queue.dlq.redrive({ ids: [c!, "no such id", a!, a!] }), 2);
    assert.strictEqual(await queue.dlq.redrive({ ids: [] }), 0);
    assert.deepEqual((await drain(queue)).sort(), ["a", "c"]);
    assert.deepEqual(
      (await queue.dlq.list()).entries.map(({ data }) => data),
      ["b"],
    );
  },

  "redrive takes either ids or all": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await rejectsWithRange(queue.dlq.redrive({}));
    await rejectsWithRange(queue.dlq.redrive({ ids: [], all: true }));
    await rejectsWithRange(queue.dlq.redrive({ all: true, delayMs: -1 }));
  },

  "redrive wakes a waiting recv, and may be delayed": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b");
    const dead = await queue.recvMany({ max: 2 });
    for (const message of dead) await message.nack({ deadLetter: true });
    const waiting = queue.recv();
    await parked(queue);
    await queue.dlq.redrive({ ids: [dead[0]!.messageId] });
    assert.strictEqual((await waiting)?.data, "a");
    await queue.dlq.redrive({ all: true, delayMs: 60_000 });
    await nothing(queue);
    await world.advance(60_001);
    assert.strictEqual((await take(queue)).data, "b");
  },

  "a redriven message's age runs from the redrive": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessageAgeMs: 60_000 } });
    await queue.send({ data: "a" });
    await world.advance(60_001);
    await nothing(queue);
    assert.strictEqual(await queue.dlq.redrive({ all: true }), 1);
    await world.advance(50_000);
    assert.strictEqual((await take(queue)).data, "a");
  },

  "a redriven message keeps its meta, ordering key and priority": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", meta: { m: 1 }, orderingKey: "k", priority: 1 });
    await (await take(queue)).nack({ deadLetter: true });
    await queue.dlq.redrive({ all: true });
    assert.include((await queue.peek())[0], { priority: 1, orderingKey: "k", attempt: 0 });
    assert.deepEqual((await take(queue)).meta, { m: 1 });
  },

  "purge forgets all entries and counts them": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await sendAll(queue, "a", "b", "c");
    for (const message of await queue.recvMany({ max: 2 })) await message.nack({ deadLetter: true });
    assert.strictEqual(await queue.dlq.purge(), 2);
    assert.strictEqual(await queue.dlq.purge(), 0);
    assert.lengthOf((await queue.dlq.list()).entries, 0);
    assert.deepEqual(await drain(queue), ["c"]);
  },

  "each entry is kept for dlqRetentionMs, and reads purge": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { dlqRetentionMs: 60_000 } });
    await sendAll(queue, "a", "b");
    const [a, b] = await queue.recvMany({ max: 2, leaseMs: DAY });
    await a!.nack({ deadLetter: true });
    await world.advance(40_000);
    await b!.nack({ deadLetter: true });
    await world.advance(20_001);
    assert.deepEqual(
      (await queue.dlq.list()).entries.map(({ data }) => data),
      ["b"],
    );
    assert.strictEqual((await queue.stats()).dead, 1);
    await world.advance(40_000);
    assert.lengthOf((await queue.dlq.list()).entries, 0);
    assert.strictEqual(await queue.dlq.redrive({ all: true }), 0);
  },

  "a full dead-letter queue drops nothing": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxDead: 1 }, delivery: { maxDeliveries: 1 } });
    await sendAll(queue, "a", "b");
    const [a, b] = await queue.recvMany({ max: 2 });
    await a!.nack();
    const error = await rejectsWith<CapacityError>(b!.nack({ deadLetter: true }), "CAPACITY");
    assert.include(error, { bound: "maxDead", limit: 1 });
    assert.strictEqual((await queue.stats()).leased, 1, "the refused nack left the delivery as it was");
    assert.isTrue(await b!.nack());
    const again = await take(queue);
    assert.include(again, { data: "b", attempt: 2 });
    await queue.dlq.purge();
    assert.isTrue(await again.nack());
    await nothing(queue);
    assert.deepEqual(
      (await queue.dlq.list()).entries.map(({ data }) => data),
      ["b"],
    );
  },

  "an unreadable message does not block the others when the dead letters are full": async (world) => {
    const id = world.id();
    const writer = world.queue({ id, schema: z.unknown(), limits: { maxDead: 1 } });
    const reader = world.queue({ id, schema, limits: { maxDead: 1 } });
    await writer.sendMany([1, 2, "good"].map((data) => ({ data })));
    assert.deepEqual(await drain(reader), ["good"]);
    assert.include(await reader.stats(), { dead: 1, depth: 1 });
    await reader.dlq.purge();
    await world.advance(60_000);
    await nothing(reader);
    assert.deepEqual(
      (await reader.dlq.list()).entries.map(({ data }) => data),
      [2],
    );
  },

  "a dead message's idempotency key is still known": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const { messageId } = await queue.send({ data: "a", idempotencyKey: "k" });
    await (await take(queue)).nack({ deadLetter: true });
    assert.deepEqual(await queue.send({ data: "a", idempotencyKey: "k" }), { messageId, duplicate: true });
  },
});
