import { assert } from "chai";
import { z } from "zod";
import type { CapacityError } from "../../src/memory.js";
import { cases } from "./case.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";
import { drain, nothing, parked, sendAll, take } from "./receiving.js";

const schema = z.string();
const DAY = 24 * 3_600_000;

/** send, sendMany: delays, idempotency, bounds. */
export const queueSend = cases("queue", {
  "send gives a sortable id of 26 characters": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const sent = await Promise.all(["a", "b", "c"].map((data) => queue.send({ data })));
    for (const { messageId, duplicate } of sent) {
      assert.match(messageId, /^[0-9A-Z]{26}$/);
      assert.isFalse(duplicate);
    }
    const ids = sent.map(({ messageId }) => messageId);
    assert.deepEqual([...ids].sort(), ids);
    assert.deepEqual(
      (await queue.recvMany({ max: 3 })).map(({ messageId }) => messageId),
      ids,
    );
  },

  "messages come in the order of sending": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const all = Array.from({ length: 100 }, (_, i) => String(i));
    await Promise.all(all.map((data) => queue.send({ data })));
    assert.deepEqual(await drain(queue), all);
  },

  "a delayed message is not delivered before its time": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", delayMs: 60_000 });
    await world.advance(50_000);
    await nothing(queue);
    assert.include(await queue.stats(), { delayed: 1, ready: 0, depth: 1 });
    await world.advance(10_001);
    assert.strictEqual((await take(queue)).data, "a");
  },

  "reference fault: a parked recv sees a delayed message come due": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const waiting = queue.recv({ timeoutMs: 300_000 });
    await queue.send({ data: "a", delayMs: 60_000 });
    await parked(queue);
    await world.advance(60_001);
    assert.strictEqual((await waiting)?.data, "a");
  },

  "delayed messages join in the order in which they become due": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "late", delayMs: 60_000 });
    await queue.send({ data: "soon", delayMs: 20_000 });
    await queue.send({ data: "now" });
    await world.advance(30_000);
    await queue.send({ data: "after soon" });
    await world.advance(40_000);
    assert.deepEqual(await drain(queue), ["now", "soon", "after soon", "late"]);
  },

  "delayMs 0 is no delay": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", delayMs: 0 });
    await take(queue);
  },

  "delays longer than 2^31−1 ms work": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessageAgeMs: 1000 * DAY } });
    await queue.send({ data: "a", delayMs: 60 * DAY });
    await world.advance(59 * DAY);
    await nothing(queue);
    await world.advance(DAY + 1000);
    assert.strictEqual((await take(queue)).data, "a");
  },

  "a repeated idempotency key gives the first id and has no effect": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const first = await queue.send({ data: "first", idempotencyKey: "k" });
    const again = await queue.send({ data: "again", idempotencyKey: "k" });
    assert.deepEqual(again, { messageId: first.messageId, duplicate: true });
    assert.isFalse(first.duplicate);
    assert.deepEqual(await drain(queue), ["first"]);
  },

  "an idempotency key outlives its message": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const { messageId } = await queue.send({ data: "a", idempotencyKey: "k" });
    await (await take(queue)).ack();
    assert.deepEqual(await queue.send({ data: "b", idempotencyKey: "k" }), { messageId, duplicate: true });
    await nothing(queue);
  },

  "an idempotency key is forgotten after idempotencyTtlMs": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const first = await queue.send({ data: "a", idempotencyKey: "k", idempotencyTtlMs: 60_000 });
    await world.advance(50_000);
    assert.isTrue((await queue.send({ data: "b", idempotencyKey: "k" })).duplicate);
    await world.advance(10_001);
    const anew = await queue.send({ data: "c", idempotencyKey: "k" });
    assert.isFalse(anew.duplicate);
    assert.notStrictEqual(anew.messageId, first.messageId);
    assert.deepEqual(await drain(queue), ["a", "c"]);
  },

  "idempotency keys are remembered for 7 days by default": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", idempotencyKey: "k" });
    await world.advance(7 * DAY - 60_000);
    assert.isTrue((await queue.send({ data: "a", idempotencyKey: "k" })).duplicate);
    await world.advance(60_001);
    assert.isFalse((await queue.send({ data: "a", idempotencyKey: "k" })).duplicate);
  },

  "an empty idempotency key is none": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", idempotencyKey: "" });
    assert.isFalse((await queue.send({ data: "b", idempotencyKey: "" })).duplicate);
    assert.strictEqual((await queue.stats()).idempotencyKeys, 0);
  },

  "idempotency keys belong to a tenant": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.send({ data: "a", idempotencyKey: "k" });
    assert.isFalse((await queue.send({ data: "a", idempotencyKey: "k", tenantId: "t" })).duplicate);
  },

  "idempotency keys may be any text": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const keys = ["1", "2a", "a/b", "k:1", "__proto__", "ä😀", "0", " "];
    for (const key of keys) assert.isFalse((await queue.send({ data: key, idempotencyKey: key })).duplicate, key);
    for (const key of keys) assert.isTrue((await queue.send({ data: key, idempotencyKey: key })).duplicate, key);
    assert.deepEqual(await drain(queue), keys);
  },

  "reference fault: a ttl of 0 is refused without enqueuing": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await rejectsWithRange(queue.send({ data: "a", idempotencyKey: "k", idempotencyTtlMs: 0 }));
    await nothing(queue);
    assert.isFalse((await queue.send({ data: "a", idempotencyKey: "k" })).duplicate);
  },

  "numbers out of range are refused before any effect": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const bad = [-1, 1.5, Number.NaN, Infinity, 2 ** 53, Number.MAX_SAFE_INTEGER, "1" as unknown as number];
    for (const value of bad) {
      await rejectsWithRange(queue.send({ data: "a", delayMs: value }));
      await rejectsWithRange(queue.send({ data: "a", idempotencyTtlMs: value }));
      await rejectsWithRange(queue.send({ data: "a", priority: value }));
      await rejectsWithRange(queue.sendMany([{ data: "a" }, { data: "a", delayMs: value }]));
    }
    await rejectsWithRange(queue.send({ data: "a", priority: 10 }));
    assert.strictEqual((await queue.stats()).depth, 0);
  },

  "sendMany keeps the order and gives ids in it": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const all = Array.from({ length: 1000 }, (_, i) => String(i));
    const sent = await queue.sendMany(all.map((data) => ({ data })));
    assert.lengthOf(sent, 1000);
    assert.isTrue(sent.every(({ duplicate }) => !duplicate));
    const got = await queue.recvMany({ max: 1000 });
    assert.deepEqual(
      got.map(({ data }) => data),
      all,
    );
    assert.deepEqual(
      got.map(({ messageId }) => messageId),
      sent.map(({ messageId }) => messageId),
    );
  },

  "sendMany of nothing does nothing": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    assert.deepEqual(await queue.sendMany([]), []);
    assert.deepEqual(await queue.sendMany([], { atomic: false }), []);
  },

  "sendMany items take what send takes": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await queue.sendMany([
      { data: "later", delayMs: 60_000 },
      { data: "low", priority: 9 },
      { data: "high", priority: 0, meta: { m: 1 }, orderingKey: "k" },
    ]);
    const high = await take(queue);
    assert.include(high, { data: "high", orderingKey: "k" });
    assert.deepEqual(high.meta, { m: 1 });
    assert.strictEqual((await take(queue)).data, "low");
    await nothing(queue);
  },

  "sendMany recognises keys that were sent before, and within itself": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const before = await queue.send({ data: "before", idempotencyKey: "k1" });
    const [a, b, c, d] = await queue.sendMany([
      { data: "a", idempotencyKey: "k1" },
      { data: "b", idempotencyKey: "k2" },
      { data: "c", idempotencyKey: "k2" },
      { data: "d" },
    ]);
    assert.deepEqual(a, { messageId: before.messageId, duplicate: true });
    assert.deepEqual(c, { messageId: b!.messageId, duplicate: true });
    assert.isFalse(b!.duplicate);
    assert.isFalse(d!.duplicate);
    assert.deepEqual(await drain(queue), ["before", "b", "d"]);
  },

  "an atomic sendMany sends all or none": async (world) => {
    const queue = world.queue({
      id: world.id(),
      schema,
      limits: { payloadBytes: 100, maxMessages: 3, maxIdempotencyKeys: 1 },
    });
    await rejectsWith(queue.sendMany([{ data: "a" }, { data: 1 as unknown as string }]), "VALIDATION");
    await rejectsWith(queue.sendMany([{ data: "a" }, { data: "x".repeat(100) }]), "PAYLOAD_TOO_LARGE");
    await rejectsWith(queue.sendMany("abcd".split("").map((data) => ({ data }))), "CAPACITY");
    await rejectsWith(
      queue.sendMany([
        { data: "a", idempotencyKey: "1" },
        { data: "b", idempotencyKey: "2" },
      ]),
      "CAPACITY",
    );
    assert.include(await queue.stats(), { depth: 0, idempotencyKeys: 0 });
    await queue.sendMany("abc".split("").map((data) => ({ data })));
  },

  "an atomic sendMany takes at most 1,000 items": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    await rejectsWithRange(queue.sendMany(Array.from({ length: 1001 }, () => ({ data: "a" }))));
    assert.strictEqual((await queue.stats()).depth, 0);
  },

  "an atomic sendMany takes at most 8 MiB": async (world) => {
    const MiB = 1024 * 1024;
    const queue = world.queue({ id: world.id(), schema, limits: { payloadBytes: 16 * MiB } });
    // Two quotes each.
    const half = "x".repeat(4 * MiB - 2);
    await queue.sendMany([{ data: half }, { data: half }]);
    await rejectsWithRange(queue.sendMany([{ data: half }, { data: `${half}x` }]));
    await rejectsWithRange(queue.sendMany([{ data: half + half }, { data: "x" }]));
    await rejectsWithRange(queue.sendMany([{ data: `${half}${half}xxx` }]));
    assert.strictEqual((await queue.stats()).depth, 2);
  },

  "sendMany without atomic is chunked and has no bounds": async (world) => {
    const queue = world.queue({ id: world.id(), schema });
    const all = Array.from({ length: 2500 }, (_, i) => String(i));
    const sent = await queue.sendMany(
      all.map((data) => ({ data })),
      { atomic: false },
    );
    assert.lengthOf(sent, 2500);
    assert.strictEqual((await queue.stats()).depth, 2500);
    const got: string[] = [];
    while (got.length < 2500) got.push(...(await queue.recvMany({ max: 1000, wait: false })).map(({ data }) => data));
    assert.deepEqual(got, all);
  },

  "maxMessages bounds waiting, delayed and leased together": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessages: 3 } });
    await sendAll(queue, "a", "b");
    await queue.send({ data: "c", delayMs: 60_000 });
    const held = await take(queue);
    const error = await rejectsWith<CapacityError>(queue.send({ data: "d" }), "CAPACITY");
    assert.instanceOf(error, world.entry.CapacityError);
    assert.include(error, { name: "CapacityError", bound: "maxMessages", limit: 3, retryable: true });
    await held.ack();
    await queue.send({ data: "d" });
    await world.advance(60_001);
    assert.deepEqual(await drain(queue), ["b", "d", "c"]);
  },

  "a duplicate needs no room": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxMessages: 1, maxIdempotencyKeys: 1 } });
    await queue.send({ data: "a", idempotencyKey: "k" });
    assert.isTrue((await queue.send({ data: "a", idempotencyKey: "k" })).duplicate);
  },

  "a full memory of idempotency keys says CAPACITY and forgets nothing early": async (world) => {
    const queue = world.queue({ id: world.id(), schema, limits: { maxIdempotencyKeys: 2 } });
    await queue.send({ data: "a", idempotencyKey: "1", idempotencyTtlMs: 60_000 });
    await queue.send({ data: "b", idempotencyKey: "2" });
    const error = await rejectsWith<CapacityError>(queue.send({ data: "c", idempotencyKey: "3" }), "CAPACITY");
    assert.include(error, { bound: "maxIdempotencyKeys", limit: 2 });
    await queue.send({ data: "without a key" });
    assert.isTrue((await queue.send({ data: "a", idempotencyKey: "1" })).duplicate);
    await world.advance(60_001);
    assert.isFalse((await queue.send({ data: "c", idempotencyKey: "3" })).duplicate);
  },
});
