import { assert } from "chai";
import * as v from "valibot";
import { z } from "zod";
import type { PayloadTooLargeError, ValidationError } from "../../src/memory.js";
import { cases } from "./case.js";
import { rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";
import { drainEvents, takeEvent } from "./receiving.js";

const schema = z.string();
const anything = z.unknown();
const DAY = 24 * 3_600_000;
const CURSOR = /^[0-9A-Za-z]{1,32}\.\d+$/;

/** pub, pubMany, latestCursor: values, keys, limits. */
export const topicPublish = cases("topic", {
  "pub gives a sortable id of 26 characters and a cursor": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const published = await Promise.all(["a", "b", "c"].map((data) => topic.pub({ data })));
    for (const { eventId, cursor, duplicate } of published) {
      assert.match(eventId, /^[0-9A-Z]{26}$/);
      assert.match(cursor, CURSOR);
      assert.isFalse(duplicate);
    }
    const ids = published.map(({ eventId }) => eventId);
    assert.deepEqual([...ids].sort(), ids);
  },

  "cursors are dense within one log generation": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const places = [];
    for (const data of ["a", "b", "c"]) places.push((await topic.pub({ data })).cursor.split("."));
    const numbers = places.map(([, n]) => Number(n));
    assert.deepEqual(numbers, [numbers[0]!, numbers[0]! + 1, numbers[0]! + 2]);
    assert.strictEqual(new Set(places.map(([generation]) => generation)).size, 1);
  },

  "each instance has its own log generation": async (world) => {
    const one = (await world.topic({ id: world.id(), schema }).pub({ data: "a" })).cursor;
    const other = (await world.topic({ id: world.id(), schema }).pub({ data: "a" })).cursor;
    assert.notStrictEqual(one.split(".")[0], other.split(".")[0]);
  },

  "latestCursor names the newest event and consumes nothing": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const empty = await topic.latestCursor();
    assert.match(empty, CURSOR);
    const { cursor } = await topic.pub({ data: "a" });
    assert.strictEqual(await topic.latestCursor(), cursor);
    assert.notStrictEqual(cursor, empty);
    assert.deepEqual(await drainEvents(topic.reader()), ["a"]);
    assert.strictEqual(await topic.latestCursor({ tenantId: "t" }), await topic.latestCursor({ tenantId: "t" }));
    assert.notStrictEqual(await topic.latestCursor({ tenantId: "t" }), cursor);
  },

  "values come back as they were published": async (world) => {
    const topic = world.topic({ id: world.id(), schema: anything });
    const values = [[], {}, null, false, 0, "", Number.MAX_SAFE_INTEGER, 12345678901234568, "ä😀\u0000", { a: [{}] }];
    await topic.pubMany(values.map((data) => ({ data, meta: data })));
    const reader = topic.reader();
    for (const value of values) {
      const event = await takeEvent(reader);
      assert.strictEqual(JSON.stringify(event.data), JSON.stringify(value));
      assert.strictEqual(JSON.stringify(event.meta), JSON.stringify(value));
    }
  },

  "reference fault: undefined as the whole payload is kept": async (world) => {
    const topic = world.topic({ id: world.id(), schema: z.undefined() });
    await topic.pub({ data: undefined });
    const event = await takeEvent(topic.reader());
    assert.isUndefined(event.data);
    assert.notProperty(event, "meta");
  },

  "mutating a value after publishing it changes nothing": async (world) => {
    const topic = world.topic({ id: world.id(), schema: anything });
    const data = [1];
    const publishing = topic.pub({ data });
    data.push(2);
    await publishing;
    assert.deepEqual((await takeEvent(topic.reader())).data, [1]);
  },

  "mutating an event changes it for nobody else": async (world) => {
    const topic = world.topic({ id: world.id(), schema: z.array(z.number()) });
    await topic.pub({ data: [1] });
    (await takeEvent(topic.reader("one"))).data.push(2);
    assert.deepEqual((await takeEvent(topic.reader("two"))).data, [1]);
  },

  "reference fault: transforms are not run twice": async (world) => {
    const topic = world.topic({ id: world.id(), schema: z.string().transform(Number) });
    await topic.pub({ data: "42" });
    assert.strictEqual((await takeEvent(topic.reader())).data, 42);
    const { value } = await topic.live({ after: "0" }).next();
    assert.strictEqual(value?.data, 42);
  },

  "valibot schemas work the same": async (world) => {
    const topic = world.topic({ id: world.id(), schema: v.object({ n: v.optional(v.number(), 5) }) });
    await topic.pub({ data: {} });
    assert.deepEqual((await takeEvent(topic.reader())).data, { n: 5 });
    const error = await rejectsWith<ValidationError>(
      topic.pub({ data: { n: "x" as unknown as number } }),
      "VALIDATION",
    );
    assert.deepEqual(error.issues[0]?.path, ["n"]);
  },

  "what does not fit is refused before any effect": async (world) => {
    const topic = world.topic({ id: world.id(), schema: z.object({ n: z.number() }) });
    await rejectsWith(topic.pub({ data: { n: "x" as unknown as number }, idempotencyKey: "k" }), "VALIDATION");
    await rejectsWith(topic.pub({ data: { n: 1 }, meta: 1n }), "VALIDATION");
    await rejectsWith(topic.pubMany([{ data: { n: 1 } }, { data: {} as { n: number } }]), "VALIDATION");
    assert.strictEqual((await topic.stats()).entries, 0);
    assert.isFalse((await topic.pub({ data: { n: 1 }, idempotencyKey: "k" })).duplicate);
  },

  "publishing keeps call order, also when a validation is asynchronous": async (world) => {
    let release!: () => void;
    const slow = new Promise<void>((resolve) => (release = resolve));
    const topic = world.topic({
      id: world.id(),
      schema: z.string().refine(async (text) => (text === "slow" ? slow.then(() => true) : true)),
    });
    const publishing = [topic.pub({ data: "slow" }), topic.pub({ data: "fast" }), topic.pubMany([{ data: "many" }])];
    release();
    await Promise.all(publishing);
    assert.deepEqual(await drainEvents(topic.reader()), ["slow", "fast", "many"]);
  },

  "the size limit counts the UTF-8 bytes of data, meta and ordering key": async (world) => {
    const topic = world.topic({ id: world.id(), schema, limits: { payloadBytes: 10 } });
    await topic.pub({ data: "ä", meta: 12, orderingKey: "1234" });
    const error = await rejectsWith<PayloadTooLargeError>(
      topic.pub({ data: "ä", meta: 12, orderingKey: "12345" }),
      "PAYLOAD_TOO_LARGE",
    );
    assert.include(error, { name: "PayloadTooLargeError", limitBytes: 10, actualBytes: 11 });
    await rejectsWith(topic.pubMany([{ data: "a" }, { data: "123456789" }]), "PAYLOAD_TOO_LARGE");
    assert.strictEqual((await topic.stats()).entries, 1);
  },

  "payloads have 131,072 bytes by default": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "x".repeat(131_070) });
    await rejectsWith(topic.pub({ data: "x".repeat(131_071) }), "PAYLOAD_TOO_LARGE");
  },

  "a repeated idempotency key gives the first event and has no effect": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const first = await topic.pub({ data: "first", idempotencyKey: "k" });
    await topic.pub({ data: "other" });
    assert.deepEqual(await topic.pub({ data: "again", idempotencyKey: "k" }), { ...first, duplicate: true });
    assert.deepEqual(await drainEvents(topic.reader()), ["first", "other"]);
  },

  "an idempotency key is forgotten after its ttl, 7 days by default": async (world) => {
    const topic = world.topic({ id: world.id(), schema, retentionMs: 100 * DAY });
    await topic.pub({ data: "a", idempotencyKey: "short", idempotencyTtlMs: 60_000 });
    await topic.pub({ data: "b", idempotencyKey: "long" });
    await world.advance(60_001);
    assert.isFalse((await topic.pub({ data: "c", idempotencyKey: "short" })).duplicate);
    await world.advance(6 * DAY);
    assert.isTrue((await topic.pub({ data: "d", idempotencyKey: "long" })).duplicate);
    await world.advance(DAY);
    assert.isFalse((await topic.pub({ data: "e", idempotencyKey: "long" })).duplicate);
  },

  "reference fault: an idempotency key whose event was trimmed publishes anew": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    const first = await topic.pub({ data: "a", idempotencyKey: "k" });
    await topic.pubMany([{ data: "b" }, { data: "c" }]);
    const anew = await topic.pub({ data: "d", idempotencyKey: "k" });
    assert.isFalse(anew.duplicate);
    assert.notStrictEqual(anew.eventId, first.eventId);
    assert.deepEqual(await drainEvents(topic.reader()), ["c", "d"]);
  },

  "an idempotency key whose event is past its retention publishes anew": async (world) => {
    const topic = world.topic({ id: world.id(), schema, retentionMs: 60_000 });
    await topic.pub({ data: "a", idempotencyKey: "k" });
    await world.advance(60_001);
    assert.isFalse((await topic.pub({ data: "b", idempotencyKey: "k" })).duplicate);
  },

  "reference fault: a failing pub has not appended": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    for (const idempotencyTtlMs of [0, -1, 1.5, Number.NaN, Infinity]) {
      await rejectsWithRange(topic.pub({ data: "a", idempotencyKey: "k", idempotencyTtlMs }));
    }
    assert.strictEqual((await topic.stats()).entries, 0);
  },

  "pubMany publishes all in order, or none": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const published = await topic.pubMany([
      { data: "a", idempotencyKey: "k", meta: { m: 1 }, orderingKey: "o" },
      { data: "b" },
      { data: "c", idempotencyKey: "k" },
    ]);
    assert.deepEqual(
      published.map(({ duplicate }) => duplicate),
      [false, false, true],
    );
    assert.strictEqual(published[2]!.eventId, published[0]!.eventId);
    const reader = topic.reader();
    const a = await takeEvent(reader);
    assert.include(a, { data: "a", orderingKey: "o", eventId: published[0]!.eventId, cursor: published[0]!.cursor });
    assert.deepEqual(a.meta, { m: 1 });
    assert.strictEqual((await takeEvent(reader)).data, "b");
    assert.deepEqual(await topic.pubMany([]), []);
  },

  "pubMany takes at most 1,000 events and 8 MiB": async (world) => {
    const MiB = 1024 * 1024;
    const topic = world.topic({ id: world.id(), schema, limits: { payloadBytes: 16 * MiB } });
    await rejectsWithRange(topic.pubMany(Array.from({ length: 1001 }, () => ({ data: "a" }))));
    await rejectsWithRange(topic.pubMany([{ data: "x".repeat(8 * MiB) }]));
    assert.strictEqual((await topic.stats()).entries, 0);
    assert.lengthOf(await topic.pubMany(Array.from({ length: 1000 }, () => ({ data: "a" }))), 1000);
  },

  "maxLen keeps the newest": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 3 });
    for (const data of "abcde") await topic.pub({ data });
    assert.strictEqual((await topic.stats()).entries, 3);
    assert.deepEqual(await drainEvents(topic.reader()), ["c", "d", "e"]);
    await topic.pubMany("fghij".split("").map((data) => ({ data })));
    assert.deepEqual(await drainEvents(topic.reader("other")), ["h", "i", "j"]);
  },

  "retentionMs bounds age, on reading too": async (world) => {
    const topic = world.topic({ id: world.id(), schema, retentionMs: 60_000 });
    await topic.pub({ data: "old" });
    await world.advance(40_000);
    await topic.pub({ data: "young" });
    await world.advance(20_001);
    assert.deepEqual(await drainEvents(topic.reader()), ["young"]);
    assert.strictEqual((await topic.stats()).entries, 1);
  },

  "events are retained for 7 days by default": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    await world.advance(7 * DAY - 60_000);
    assert.deepEqual(await drainEvents(topic.reader("one")), ["a"]);
    await world.advance(61_000);
    assert.deepEqual(await drainEvents(topic.reader("two")), []);
  },

  "reference fault: a retention longer than the epoch works": async (world) => {
    const topic = world.topic({ id: world.id(), schema, retentionMs: Number.MAX_SAFE_INTEGER - 2 ** 44 });
    await topic.pub({ data: "a" });
    await world.advance(100 * DAY);
    await topic.pub({ data: "b" });
    assert.deepEqual(await drainEvents(topic.reader()), ["a", "b"]);
  },

  "settings out of range throw at the factory": async (world) => {
    const id = world.id();
    throwsWith(() => world.topic({ id: "", schema }), "VALIDATION");
    for (const bad of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      throwsRange(() => world.topic({ id, schema, limits: { payloadBytes: bad } }));
      throwsRange(() => world.topic({ id, schema, retentionMs: bad }));
      throwsRange(() => world.topic({ id, schema, maxLen: bad }));
      throwsRange(() => world.topic({ id, schema, reclaimAfterMs: bad }));
    }
  },

  "a later open with other limits wins": async (world) => {
    const id = world.id();
    const first = world.topic({ id, schema });
    await first.pub({ data: "a" });
    await world.topic({ id, schema, limits: { payloadBytes: 5 } }).stats();
    await rejectsWith(first.pub({ data: "aaaa" }), "PAYLOAD_TOO_LARGE");
  },

  "reference fault: tenants do not share anything, and identities do not collide": async (world) => {
    const id = world.id();
    const parts = ["a", "a:b", ":", '"', "0"];
    const tuples = parts.flatMap((prefix) => parts.map((tenantId) => ({ prefix, tenantId, id: `${id}:${tenantId}` })));
    for (const tuple of tuples)
      await world.topic({ ...tuple, schema }).pub({ data: JSON.stringify(tuple), idempotencyKey: "k" });
    for (const tuple of tuples) {
      assert.deepEqual(await drainEvents(world.topic({ ...tuple, schema }).reader()), [JSON.stringify(tuple)]);
    }
  },

  "every call takes tenantId": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const other = { tenantId: "t" };
    await topic.pub({ data: "a", ...other });
    await topic.pubMany([{ data: "b" }, { data: "c" }], other);
    assert.strictEqual((await topic.stats()).entries, 0);
    assert.strictEqual((await topic.stats(other)).entries, 3);
    const reader = topic.reader();
    assert.isNull(await reader.recv({ wait: false }));
    assert.strictEqual((await takeEvent(reader, other)).data, "a");
    assert.deepEqual(await reader.reclaim({ minIdleMs: 0 }), []);
    assert.lengthOf(await reader.reclaim({ minIdleMs: 0, ...other }), 1);
    const { value } = await topic.live({ ...other, after: "0-0" }).next();
    assert.strictEqual(value?.data, "a");
    await rejectsWith(topic.pub({ data: "a", tenantId: "" }), "VALIDATION");
  },
});
