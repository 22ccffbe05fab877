import { assert } from "chai";
import { z } from "zod";
import type { GapError, TopicEventOf, TopicPayloadError } from "../../src/memory.js";
import { cases } from "./case.js";
import { isPending, rejectsWith } from "./expectations.js";

const schema = z.string();

type Live = AsyncIterator<TopicEventOf<string>>;

/** The next events of a listener. */
async function nextOf(live: Live, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) {
    const { done, value } = await live.next();
    assert.isNotTrue(done, "the listener goes on");
    all.push((value as TopicEventOf<string>).data);
  }
  return all;
}

const endOf = { done: true, value: undefined } as const;

/** live: every event to every listener. */
export const topicLive = cases("topic", {
  "every listener gets every event, in order of publishing": async (world) => {
    const id = world.id();
    const one = world.topic({ id, schema }).live();
    const two = world.topic({ id, schema }).live();
    const both = Promise.all([nextOf(one, 3), nextOf(two, 3)]);
    const topic = world.topic({ id, schema });
    // Listeners of other handles are anchored once they were heard of.
    await Promise.resolve();
    await topic.stats();
    for (const data of "abc") await topic.pub({ data });
    assert.deepEqual(await both, [
      ["a", "b", "c"],
      ["a", "b", "c"],
    ]);
    await Promise.all([one.return?.(), two.return?.()]);
  },

  "live is anchored at the call, not at the first next": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "before" });
    const live = topic.live();
    const publishing = topic.pub({ data: "after" });
    await topic.pub({ data: "later" });
    await publishing;
    assert.deepEqual(await nextOf(live, 2), ["after", "later"]);
    await live.return?.();
  },

  "live begins with what comes from now on": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "before" });
    for (const live of [topic.live(), topic.live({ after: "$" })]) {
      await topic.pub({ data: "after" });
      assert.deepEqual(await nextOf(live, 1), ["after"]);
      await live.return?.();
    }
  },

  "an event says what it is": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const live = topic.live();
    const { eventId, cursor } = await topic.pub({ data: "a", orderingKey: "k", meta: { m: 1 } });
    const { value: event } = await live.next();
    assert.include(event, { data: "a", eventId, cursor, orderingKey: "k" });
    assert.deepEqual(event!.meta, { m: 1 });
    assert.isNumber(event!.publishedAt);
    await live.return?.();
  },

  '"0" and "0-0" replay everything retained, then go on': async (world) => {
    for (const after of ["0", "0-0"]) {
      const topic = world.topic({ id: world.id(), schema });
      await topic.pubMany([{ data: "a" }, { data: "b" }]);
      const live = topic.live({ after });
      assert.deepEqual(await nextOf(live, 2), ["a", "b"]);
      const next = nextOf(live, 1);
      await topic.pub({ data: "c" });
      assert.deepEqual(await next, ["c"]);
      await live.return?.();
    }
  },

  '"0" and "0-0" never overflow': async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    const empty = topic.live({ after: "0-0" });
    await topic.pub({ data: "a" });
    assert.deepEqual(await nextOf(empty, 1), ["a"]);
    await empty.return?.();
    for (const data of "bcd") await topic.pub({ data });
    for (const after of ["0", "0-0"]) {
      const live = topic.live({ after });
      assert.deepEqual(await nextOf(live, 2), ["c", "d"]);
      await live.return?.();
    }
  },

  "replay works over many pages": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const all = Array.from({ length: 1000 }, (_, i) => String(i));
    await topic.pubMany(all.map((data) => ({ data })));
    await topic.pubMany(all.map((data) => ({ data })));
    const live = topic.live({ after: "0" });
    assert.deepEqual(await nextOf(live, 2000), [...all, ...all]);
    await live.return?.();
  },

  "a cursor goes on behind its event": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const [first] = await topic.pubMany("abc".split("").map((data) => ({ data })));
    const live = topic.live({ after: first!.cursor });
    assert.deepEqual(await nextOf(live, 2), ["b", "c"]);
    await live.return?.();
  },

  "latestCursor plus live misses nothing": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "before" });
    const after = await topic.latestCursor();
    await topic.pub({ data: "between" });
    const live = topic.live({ after });
    await topic.pub({ data: "later" });
    assert.deepEqual(await nextOf(live, 2), ["between", "later"]);
    await live.return?.();
  },

  "reference fault: the cursor of an empty topic does not overflow": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const after = await topic.latestCursor();
    await topic.pub({ data: "a" });
    const live = topic.live({ after });
    assert.deepEqual(await nextOf(live, 1), ["a"]);
    await live.return?.();
  },

  "a slow listener gets every event": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const live = topic.live();
    const all = Array.from({ length: 1000 }, (_, i) => String(i));
    // More than a listener keeps: the rest is read from the log when it comes to it.
    for (let round = 0; round < 3; round++) await topic.pubMany(all.map((data) => ({ data })));
    assert.deepEqual(await nextOf(live, 3000), [...all, ...all, ...all]);
    const next = nextOf(live, 1);
    await topic.pub({ data: "last" });
    assert.deepEqual(await next, ["last"]);
    await live.return?.();
  },

  "events published while a page is read come once": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "0" });
    const live = topic.live({ after: "0" });
    const got = nextOf(live, 200);
    for (let i = 1; i < 200; i++) await topic.pub({ data: String(i) });
    assert.deepEqual(
      await got,
      Array.from({ length: 200 }, (_, i) => String(i)),
    );
    await live.return?.();
  },

  "a trimmed cursor is a GapError, and the listener ends": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    const { cursor } = await topic.pub({ data: "a" });
    const cursors = [];
    for (const data of "bcd") cursors.push((await topic.pub({ data })).cursor);
    const live = topic.live({ after: cursor });
    const error = await rejectsWith<GapError>(live.next(), "GAP");
    assert.include(error, { after: cursor, firstAvailable: cursors[0] });
    assert.deepEqual(await live.next(), endOf);
    const rest = topic.live({ after: error.firstAvailable });
    assert.deepEqual(await nextOf(rest, 2), ["c", "d"]);
    await rest.return?.();
  },

  "overflow comes only when something was trimmed": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    const { cursor } = await topic.pub({ data: "a" });
    await topic.pubMany([{ data: "b" }, { data: "c" }]);
    const live = topic.live({ after: cursor });
    assert.deepEqual(await nextOf(live, 2), ["b", "c"]);
    await live.return?.();
  },

  'onGap "continue" goes on with what is left': async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    const { cursor } = await topic.pub({ data: "a" });
    for (const data of "bcd") await topic.pub({ data });
    const live = topic.live({ after: cursor, onGap: "continue" });
    assert.deepEqual(await nextOf(live, 2), ["c", "d"]);
    await live.return?.();
  },

  "a listener that fell behind the trim point learns of it once": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 5 });
    const throwing = topic.live({ after: "0-0" });
    const continuing = topic.live({ after: "0-0", onGap: "continue" });
    // Anchored before the events, and not asked for the next one until they are trimmed.
    await topic.latestCursor();
    await topic.pubMany(Array.from({ length: 8 }, (_, i) => ({ data: `${i}` })));
    assert.strictEqual((await rejectsWith(throwing.next(), "GAP")).name, "GapError");
    assert.deepEqual(await nextOf(continuing, 5), ["3", "4", "5", "6", "7"]);
    await continuing.return?.();
  },

  "a cursor of another generation is a gap": async (world) => {
    const { cursor } = await world.topic({ id: world.id(), schema }).pub({ data: "a" });
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "b" });
    const error = await rejectsWith<GapError>(topic.live({ after: cursor }).next(), "GAP");
    assert.strictEqual(error.after, cursor);
    const live = topic.live({ after: cursor, onGap: "continue" });
    assert.deepEqual(await nextOf(live, 1), ["b"]);
    await live.return?.();
  },

  "a cursor beyond the end is a gap": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const { cursor } = await topic.pub({ data: "a" });
    const [generation, n] = cursor.split(".");
    await rejectsWith(topic.live({ after: `${generation}.${Number(n) + 1}` }).next(), "GAP");
  },

  "reference fault: a malformed cursor is refused, at the first next": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    for (const after of ["", "abc", "1", "-1", "x.y", "x.-1", "$$", "x.1.2"]) {
      const live = topic.live({ after });
      await rejectsWith(live.next(), "VALIDATION");
      assert.deepEqual(await live.next(), endOf);
    }
  },

  "any failure to anchor surfaces at the first next": async (world) => {
    const closing = world.fresh();
    const topic = closing.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    await closing.backend.close();
    const live = topic.live();
    await rejectsWith(live.next(), "CLOSED");
  },

  "aborting ends it normally, also while it waits": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const abort = new AbortController();
    const live = topic.live({ signal: abort.signal });
    const next = live.next();
    await topic.stats();
    assert.isTrue(await isPending(next));
    abort.abort(new Error("enough"));
    assert.deepEqual(await next, endOf);
    assert.deepEqual(await live.next(), endOf);
    assert.deepEqual(await topic.live({ signal: AbortSignal.abort() }).next(), endOf);
  },

  "leaving the loop ends it": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const live = topic.live();
    await topic.pubMany([{ data: "a" }, { data: "b" }]);
    for await (const event of live) {
      assert.strictEqual(event.data, "a");
      break;
    }
    assert.deepEqual(await live.next(), endOf);
  },

  "timeoutMs ends it when no event comes for that long": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const live = topic.live({ timeoutMs: 20 });
    await topic.pub({ data: "a" });
    assert.deepEqual(await nextOf(live, 1), ["a"]);
    assert.deepEqual(await live.next(), endOf);
  },

  "timeoutMs 0 does not wait, and gives all there is": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pubMany(Array.from({ length: 1000 }, (_, i) => ({ data: String(i) })));
    const all: string[] = [];
    for await (const event of topic.live({ after: "0-0", timeoutMs: 0 })) all.push(event.data);
    assert.lengthOf(all, 1000);
  },

  "unreadable events are passed over": async (world) => {
    const id = world.id();
    const topic = world.topic({ id, schema });
    const live = topic.live();
    await world.topic({ id, schema: z.unknown() }).pubMany([1, "good", 2, "better"].map((data) => ({ data })));
    assert.deepEqual(await nextOf(live, 2), ["good", "better"]);
    await live.return?.();
  },

  'invalidPayload "throw" raises TopicPayloadError': async (world) => {
    const id = world.id();
    const topic = world.topic({ id, schema });
    const live = topic.live({ invalidPayload: "throw" });
    const { eventId } = await world.topic({ id, schema: z.unknown() }).pub({ data: 1 });
    const error = await rejectsWith<TopicPayloadError>(live.next(), "VALIDATION");
    assert.include(error, { name: "TopicPayloadError", eventId, rawPayload: "1" });
  },

  "events past their retention are not replayed": async (world) => {
    const topic = world.topic({ id: world.id(), schema, retentionMs: 60_000 });
    await topic.pub({ data: "old" });
    await world.advance(60_001);
    await topic.pub({ data: "young" });
    const live = topic.live({ after: "0" });
    assert.deepEqual(await nextOf(live, 1), ["young"]);
    await live.return?.();
  },

  "a listener and a group do not disturb each other": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    const live = topic.live();
    await topic.pub({ data: "a" });
    assert.strictEqual((await topic.reader().recv())?.data, "a");
    assert.deepEqual(await nextOf(live, 1), ["a"]);
    assert.strictEqual((await topic.stats()).groups["default"]?.lag, 0);
    await live.return?.();
  },
});
