import { assert } from "chai";
import { z } from "zod";
import type { TopicPayloadError } from "../../src/memory.js";
import { cases } from "./case.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";
import { drainEvents, parked, takeEvent } from "./receiving.js";

const schema = z.string();

/** Groups: one durable position, shared work, and how readers end. */
export const topicGroups = cases("topic", {
  "a group takes each event once, in order": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    for (const data of "abc") await topic.pub({ data });
    assert.deepEqual(await drainEvents(topic.reader()), ["a", "b", "c"]);
    assert.deepEqual(await drainEvents(topic.reader()), []);
  },

  "each group has its own position": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    assert.deepEqual(await drainEvents(topic.reader("one")), ["a"]);
    assert.deepEqual(await drainEvents(topic.reader("two")), ["a"]);
    assert.strictEqual(topic.reader("one").group, "one");
    assert.strictEqual(topic.reader().group, "default");
  },

  "group names may be any text": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    const names = ["1", "1/2", "a:b", "__proto__", "ä😀", " "];
    for (const name of names) assert.deepEqual(await drainEvents(topic.reader(name)), ["a"], name);
    assert.sameMembers(Object.keys((await topic.stats()).groups), names);
  },

  "reference fault: readers of a group split the work": async (world) => {
    const id = world.id();
    const one = world.topic({ id, schema }).reader("g");
    const two = world.topic({ id, schema }).reader("g", { consumerId: "two" });
    await world.topic({ id, schema }).pubMany("abcd".split("").map((data) => ({ data })));
    const got = [await takeEvent(one), await takeEvent(two), await takeEvent(one), await takeEvent(two)];
    assert.deepEqual(
      got.map(({ data }) => data),
      ["a", "b", "c", "d"],
    );
    assert.isNull(await one.recv({ wait: false }));
  },

  "reference fault: a new reader resumes, it does not replay": async (world) => {
    const id = world.id();
    const first = world.topic({ id, schema });
    await first.pub({ data: "a" });
    assert.deepEqual(await drainEvents(first.reader("g")), ["a"]);
    await first.close();
    const second = world.topic({ id, schema });
    await second.pub({ data: "b" });
    assert.deepEqual(await drainEvents(second.reader("g")), ["b"]);
  },

  "a group begins at the beginning of what is retained when it is created": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    for (const data of "abc") await topic.pub({ data });
    const reader = topic.reader();
    assert.strictEqual((await takeEvent(reader)).data, "b");
    assert.strictEqual((await takeEvent(reader)).data, "c");
  },

  "a delivery says what it is": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const { eventId, cursor } = await topic.pub({ data: "a", orderingKey: "k", meta: [1] });
    const event = await takeEvent(topic.reader());
    assert.include(event, { data: "a", eventId, cursor, orderingKey: "k", attempt: 1 });
    assert.deepEqual(event.meta, [1]);
    assert.match(event.deliveryId, /^[0-9A-Z]{26}$/);
    assert.isNumber(event.publishedAt);
    await topic.pub({ data: "b" });
    assert.doesNotHaveAnyKeys(await takeEvent(topic.reader()), ["orderingKey", "meta"]);
  },

  "commit is true once": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    const event = await takeEvent(topic.reader());
    assert.isTrue(await event.commit());
    assert.isFalse(await event.commit());
    assert.isFalse(await event.touch());
  },

  "recv waits for an event, in order of arrival": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const reader = topic.reader();
    const first = reader.recv();
    const second = topic.reader().recv();
    await parked(topic, 2);
    await topic.pubMany([{ data: "a" }, { data: "b" }]);
    assert.deepEqual([(await first)?.data, (await second)?.data], ["a", "b"]);
  },

  "recv gives null when its time is over, 0 means no wait": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const reader = topic.reader();
    assert.isNull(await reader.recv({ timeoutMs: 0 }));
    assert.isNull(await reader.recv({ wait: false }));
    const waiting = reader.recv({ timeoutMs: 60_000 });
    const byDefault = reader.recv();
    await parked(topic, 2);
    await world.advance(30_001);
    assert.isNull(await byDefault);
    await parked(topic);
    await world.advance(30_000);
    assert.isNull(await waiting);
  },

  "an aborted recv gives null and swallows nothing": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const reader = topic.reader();
    const abort = new AbortController();
    const waiting = reader.recv({ signal: abort.signal });
    await parked(topic);
    abort.abort(new Error("enough"));
    assert.isNull(await waiting);
    assert.isNull(await reader.recv({ signal: AbortSignal.abort() }));
    await topic.pub({ data: "a" });
    assert.include(await takeEvent(reader), { data: "a", attempt: 1 });
  },

  "timings out of range are refused": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const reader = topic.reader();
    for (const bad of [-1, 1.5, Number.NaN, Infinity]) {
      await rejectsWithRange(reader.recv({ timeoutMs: bad }));
      await rejectsWithRange(reader.reclaim({ minIdleMs: bad }));
      await rejectsWithRange(reader.reclaim({ count: bad }));
    }
    await rejectsWithRange(reader.reclaim({ count: 0 }));
  },

  "a stream goes on waiting, and ends without throwing when aborted": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const abort = new AbortController();
    const stream = topic.reader().stream({ signal: abort.signal });
    await topic.pub({ data: "a" });
    assert.strictEqual((await stream.next()).value?.data, "a");
    const next = stream.next();
    await parked(topic);
    await world.advance(31_000);
    await parked(topic);
    await topic.pub({ data: "b" });
    assert.strictEqual((await next).value?.data, "b");
    const last = stream.next();
    abort.abort();
    assert.deepEqual(await last, { done: true, value: undefined });
  },

  "concurrent streams of one reader do not disturb each other": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const reader = topic.reader();
    const one = reader.stream();
    const two = reader.stream();
    const first = one.next();
    const second = two.next();
    await parked(topic, 2);
    await one.return?.();
    await topic.pub({ data: "a" });
    assert.strictEqual((await second).value?.data, "a");
    assert.isTrue((await first).done);
    await two.return?.();
  },

  "unreadable events are committed for the group and passed over": async (world) => {
    const id = world.id();
    await world.topic({ id, schema: z.unknown() }).pubMany([1, 2, "good", 3].map((data) => ({ data })));
    const topic = world.topic({ id, schema });
    assert.deepEqual(await drainEvents(topic.reader()), ["good"]);
    assert.deepEqual((await topic.stats()).groups["default"], { lag: 0, pending: 0 });
  },

  'invalidPayload "throw" raises TopicPayloadError, then goes on': async (world) => {
    const id = world.id();
    const { eventId } = await world.topic({ id, schema: z.unknown() }).pub({ data: { n: 1 } });
    const topic = world.topic({ id, schema });
    await topic.pub({ data: "good" });
    const reader = topic.reader();
    const error = await rejectsWith<TopicPayloadError>(
      reader.recv({ wait: false, invalidPayload: "throw" }),
      "VALIDATION",
    );
    assert.instanceOf(error, world.entry.TopicPayloadError);
    assert.include(error, { name: "TopicPayloadError", eventId, rawPayload: '{"n":1}' });
    assert.strictEqual((await reader.recv({ wait: false, invalidPayload: "throw" }))?.data, "good");
  },

  "closing a reader ends it and leaves the others alone": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const closing = topic.reader();
    const other = topic.reader();
    const waiting = closing.recv();
    const stream = closing.stream();
    const next = stream.next();
    const still = other.recv();
    await parked(topic, 3);
    await closing.close();
    await closing.close();
    assert.isNull(await waiting);
    assert.deepEqual(await next, { done: true, value: undefined });
    await rejectsWith(closing.recv(), "CLOSED");
    await rejectsWith(closing.reclaim(), "CLOSED");
    await rejectsWith(closing.stream().next(), "CLOSED");
    await topic.pub({ data: "a" });
    assert.strictEqual((await still)?.data, "a");
    await other[Symbol.asyncDispose]();
    await rejectsWith(other.recv(), "CLOSED");
  },

  "events can be committed after their reader and topic were closed": async (world) => {
    const id = world.id();
    const topic = world.topic({ id, schema });
    await topic.pubMany([{ data: "a" }, { data: "b" }]);
    const reader = topic.reader();
    const a = await takeEvent(reader);
    const b = await takeEvent(reader);
    await reader.close();
    assert.isTrue(await a.commit());
    await topic.close();
    assert.isTrue(await b.commit());
    assert.deepEqual(await drainEvents(world.topic({ id, schema }).reader()), []);
  },

  "closing a topic ends its readers and listeners; calls then reject with CLOSED": async (world) => {
    const id = world.id();
    const topic = world.topic({ id, schema });
    const reader = topic.reader();
    const waiting = reader.recv();
    const live = topic.live();
    const next = live.next();
    await parked(topic);
    await topic.close();
    await topic[Symbol.asyncDispose]();
    assert.isNull(await waiting);
    assert.deepEqual(await next, { done: true, value: undefined });
    const calls = [
      () => topic.pub({ data: "a" }),
      () => topic.pubMany([{ data: "a" }]),
      () => topic.stats(),
      () => topic.latestCursor(),
      () => topic.reader().recv(),
      () => reader.recv(),
      () => reader.stream().next(),
      () => reader.reclaim(),
      () => topic.live().next(),
    ];
    for (const call of calls) await rejectsWith(call(), "CLOSED");
    await world.topic({ id, schema }).pub({ data: "others go on" });
  },

  "stats counts events, lag and what is pending": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const cursor = await topic.latestCursor();
    assert.deepEqual(await topic.stats(), { entries: 0, cursor, groups: {}, waiters: 0 });
    const published = await topic.pubMany("abc".split("").map((data) => ({ data })));
    await takeEvent(topic.reader("g"));
    assert.deepEqual(await topic.stats(), {
      entries: 3,
      cursor: published[2]!.cursor,
      groups: { g: { lag: 2, pending: 1 } },
      waiters: 0,
    });
  },
});
