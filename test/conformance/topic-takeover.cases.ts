import { assert } from "chai";
import { z } from "zod";
import type { GapError } from "../../src/memory.js";
import { ONE_TAB, cases } from "./case.js";
import { rejectsWith } from "./expectations.js";
import { drainEvents, parked, takeEvent } from "./receiving.js";

const schema = z.string();

/** Groups: what was not committed, and what was trimmed before it was. */
export const topicTakeover = cases("topic", {
  "an uncommitted event is taken over when idle for reclaimAfterMs": async (world) => {
    const topic = world.topic({ id: world.id(), schema, reclaimAfterMs: 60_000 });
    await topic.pubMany([{ data: "a" }, { data: "b" }]);
    const held = await takeEvent(topic.reader("g"));
    await world.advance(50_000);
    const other = topic.reader("g");
    assert.strictEqual((await takeEvent(other)).data, "b");
    assert.isNull(await other.recv({ wait: false }));
    await world.advance(10_001);
    const again = await takeEvent(other);
    assert.include(again, { data: "a", attempt: 2, eventId: held.eventId });
    assert.notStrictEqual(again.deliveryId, held.deliveryId);
    assert.isFalse(await held.commit(), "reference fault: commit is refused once another took the event over");
    assert.isFalse(await held.touch());
    assert.isTrue(await again.commit());
  },

  "a waiting recv takes an idle event over": async (world) => {
    const topic = world.topic({ id: world.id(), schema, reclaimAfterMs: 60_000 });
    await topic.pub({ data: "a" });
    await takeEvent(topic.reader());
    const waiting = topic.reader().recv({ timeoutMs: 300_000 });
    await parked(topic);
    await world.advance(60_001);
    assert.include(await waiting, { data: "a", attempt: 2 });
  },

  "reclaimAfterMs is 60 s by default": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    const reader = topic.reader();
    await takeEvent(reader);
    await world.advance(55_000);
    assert.isNull(await reader.recv({ wait: false }));
    await world.advance(5_001);
    await takeEvent(reader);
  },

  "an idle event that nobody took over can still be committed": async (world) => {
    const topic = world.topic({ id: world.id(), schema, reclaimAfterMs: 60_000 });
    await topic.pub({ data: "a" });
    const event = await takeEvent(topic.reader());
    await world.advance(60_001);
    assert.isTrue(await event.commit());
    assert.deepEqual(await drainEvents(topic.reader()), []);
  },

  "touch puts the take-over off": async (world) => {
    const topic = world.topic({ id: world.id(), schema, reclaimAfterMs: 60_000 });
    await topic.pub({ data: "a" });
    const reader = topic.reader();
    const event = await takeEvent(reader);
    await world.advance(50_000);
    assert.isTrue(await event.touch());
    await world.advance(50_000);
    assert.isNull(await reader.recv({ wait: false }));
    assert.isTrue(await event.commit());
  },

  "reclaim takes over what is idle for minIdleMs, oldest first": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pubMany("abcd".split("").map((data) => ({ data })));
    const lost = topic.reader("g");
    const a = await takeEvent(lost);
    await takeEvent(lost);
    await world.advance(30_000);
    await takeEvent(lost);
    const reader = topic.reader("g");
    const two = await reader.reclaim({ minIdleMs: 20_000 });
    assert.deepEqual(
      two.map(({ data, attempt }) => [data, attempt]),
      [
        ["a", 2],
        ["b", 2],
      ],
    );
    assert.deepEqual(await reader.reclaim({ minIdleMs: 20_000 }), []);
    assert.isFalse(await a.commit());
    assert.isTrue(await two[0]!.commit());
    const [again] = await reader.reclaim({ minIdleMs: 0, count: 1 });
    assert.include(again, { data: "b", attempt: 3 });
    assert.deepEqual(await drainEvents(reader), ["d"]);
  },

  "reclaim by default: idle for 60 s, 25 at most": async (world) => {
    const topic = world.topic({ id: world.id(), schema, reclaimAfterMs: 3_600_000 });
    await topic.pubMany(Array.from({ length: 30 }, (_, i) => ({ data: String(i) })));
    const lost = topic.reader();
    for (let i = 0; i < 30; i++) await takeEvent(lost);
    const reader = topic.reader();
    await world.advance(55_000);
    assert.deepEqual(await reader.reclaim(), []);
    await world.advance(5_001);
    assert.lengthOf(await reader.reclaim(), 25);
    assert.lengthOf(await reader.reclaim(), 5);
  },

  "reclaim in an unknown group finds nothing and creates nothing": async (world) => {
    const topic = world.topic({ id: world.id(), schema });
    await topic.pub({ data: "a" });
    assert.deepEqual(await topic.reader("new").reclaim({ minIdleMs: 0 }), []);
    assert.deepEqual((await topic.stats()).groups, {});
    assert.deepEqual(await drainEvents(topic.reader("new")), ["a"]);
  },

  "a closed tab's events are taken over at once": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const topic = world.topic({ id, schema });
      await topic.pub({ data: "a" });
      const tab = world.tab();
      await takeEvent(tab.topic({ id, schema }).reader());
      await tab.backend.close();
      assert.include(await topic.reader().recv({ timeoutMs: 5000 }), { data: "a", attempt: 1 });
    },
  },

  "a group behind the trim point gets GapError once, then goes on": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2 });
    const { cursor: first } = await topic.pub({ data: "a" });
    const reader = topic.reader();
    await (await takeEvent(reader)).commit();
    const cursors = [];
    for (const data of "bcde") cursors.push((await topic.pub({ data })).cursor);
    const error = await rejectsWith<GapError>(reader.recv({ wait: false }), "GAP");
    assert.instanceOf(error, world.entry.GapError);
    assert.include(error, { name: "GapError", after: first, firstAvailable: cursors[1], retryable: false });
    assert.deepEqual(await drainEvents(topic.reader()), ["d", "e"]);
  },

  "an uncommitted event that was trimmed is a gap, told once": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 2, reclaimAfterMs: 60_000 });
    await topic.pub({ data: "a" });
    const held = await takeEvent(topic.reader());
    await topic.pubMany([{ data: "b" }, { data: "c" }]);
    const reader = topic.reader();
    assert.strictEqual((await takeEvent(reader)).data, "b");
    await world.advance(60_001);
    await rejectsWith(reader.recv({ wait: false }), "GAP");
    assert.strictEqual((await takeEvent(reader)).data, "b");
    assert.strictEqual((await takeEvent(reader)).data, "c");
    assert.isFalse(await held.commit());
  },

  "a trimmed event can be committed by who holds it, without a gap": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 1 });
    await topic.pub({ data: "a" });
    const reader = topic.reader();
    const held = await takeEvent(reader);
    await topic.pub({ data: "b" });
    assert.isTrue(await held.commit());
    assert.deepEqual(await drainEvents(reader), ["b"]);
  },

  "a group that keeps up never sees a gap": async (world) => {
    const topic = world.topic({ id: world.id(), schema, maxLen: 1 });
    const reader = topic.reader();
    for (const data of "abcdef") {
      await topic.pub({ data });
      assert.deepEqual(await drainEvents(reader), [data]);
    }
  },
});
