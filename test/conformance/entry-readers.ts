import { assert } from "chai";
import { type Case, cases } from "./case.js";
import { brief, briefly, eventsNow, nextEvent } from "./entries.js";
import { type Event, MINUTE, type Make, fill, makers, upserts } from "./entry-kinds.js";
import { rejectsWith } from "./expectations.js";

/** Readers: where they begin, what they hear, what they lost. */
export function entryReaderCases(primitive: keyof typeof makers): Case[] {
  const make: Make = makers[primitive];
  return cases(primitive, {
    "a reader hears what happens, in order": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      await entries.upsert({ key: "a", value: "x", ttlMs: MINUTE });
      await entries.touch({ key: "a" });
      await entries.upsert({ key: "b", value: "y", ttlMs: 1000 });
      await entries.remove({ key: "a", reason: "left" });
      await entries.remove({ key: "a" });
      await world.advance(1000);
      const events = await eventsNow(reader);
      assert.deepEqual(events.map(brief), ['upsert a "x"', "touch a", 'upsert b "y"', "delete a", "expire b"]);
      assert.include(events[3], { reason: "left" });
      assert.lengthOf(new Set(events.map(({ cursor }) => cursor)), 5);
    },

    "events say what they are": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const entry = (await entries.upsert({ key: "a", value: "x", ttlMs: MINUTE })) as { updatedAt: number };
      await world.advance(10);
      await entries.touch({ key: "a" });
      await entries.remove({ key: "a", reason: "" });
      const [upsert, touch, deletion] = await eventsNow(reader);
      assert.deepEqual(upsert, { type: "upsert", cursor: upsert!.cursor, entry } as unknown as Event);
      assert.hasAllKeys(touch, ["type", "cursor", "key", "version", "updatedAt", "expiresAt"]);
      if (touch?.type !== "touch") return;
      assert.isAtLeast(touch.updatedAt, entry.updatedAt + 10);
      assert.strictEqual(touch.expiresAt, touch.updatedAt + MINUTE);
      // An empty reason is none.
      assert.hasAllKeys(deletion, ["type", "cursor", "key", "version", "deletedAt"]);
    },

    "reference fault: a reader is anchored at the call, not at the first recv": async (world) => {
      const entries = make(world, world.id());
      await entries.upsert({ key: "before", value: "x" });
      const reader = entries.reader();
      const writing = entries.upsert({ key: "after", value: "x" });
      await entries.upsert({ key: "later", value: "x" });
      await writing;
      assert.deepEqual(await briefly(reader), ['upsert after "x"', 'upsert later "x"']);
    },

    "a reader begins with what comes from now on": async (world) => {
      const entries = make(world, world.id());
      await entries.upsert({ key: "before", value: "x" });
      for (const options of [{}, { after: "$" }]) {
        const reader = entries.reader(options);
        await entries.upsert({ key: "after", value: "x" });
        assert.deepEqual(await briefly(reader), ['upsert after "x"']);
      }
    },

    '"0" and "0-0" replay what is retained and never overflow': async (world) => {
      const entries = make(world, world.id(), { eventMaxLen: 2 });
      const early = entries.reader({ after: "0-0" });
      await entries.upsert({ key: "k/1", value: "1" });
      assert.deepEqual(await briefly(early), upserts(1));
      await fill(entries, 4);
      for (const after of ["0", "0-0"]) {
        assert.deepEqual(await briefly(entries.reader({ after })), upserts(3, 4));
      }
    },

    "a cursor goes on behind its event": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      await fill(entries, 3);
      const first = await nextEvent(reader);
      assert.deepEqual(await briefly(entries.reader({ after: first.cursor })), upserts(2, 3));
      assert.deepEqual(await briefly(entries.reader({ after: (await entries.stats()).cursor })), []);
    },

    "reference fault: the cursor of an empty state does not overflow": async (world) => {
      const entries = make(world, world.id());
      const { cursor } = await entries.stats();
      assert.notInclude(["0", "0-0", "$"], cursor);
      await fill(entries, 2);
      assert.deepEqual(await briefly(entries.reader({ after: cursor })), upserts(1, 2));
    },

    "a malformed cursor is refused at the first recv": async (world) => {
      const entries = make(world, world.id());
      for (const after of ["", "x", "1-1", "a.b", "-1"]) {
        const reader = entries.reader({ after });
        await rejectsWith(reader.recv(), "VALIDATION");
        await rejectsWith(reader.stream().next(), "VALIDATION");
        await reader.close();
      }
    },

    "a cursor whose events are gone overflows once, then goes on from the newest": async (world) => {
      const entries = make(world, world.id(), { eventMaxLen: 2 });
      const { cursor: after } = await entries.stats();
      await fill(entries, 4);
      const { cursor } = await entries.stats();
      const reader = entries.reader({ after });
      const overflow = await nextEvent(reader);
      assert.hasAllKeys(overflow, ["type", "cursor", "after", "firstAvailable"]);
      assert.include(overflow, { type: "overflow", cursor, after });
      assert.isNull(await reader.recv({ wait: false }));
      // What is still retained can be had, too.
      const { firstAvailable } = overflow as { firstAvailable: string };
      assert.deepEqual(await briefly(entries.reader({ after: firstAvailable })), upserts(3, 4));
      await entries.upsert({ key: "k/5", value: "5" });
      assert.deepEqual(await briefly(reader), upserts(5));
    },

    "a cursor of another log, or from beyond the end, overflows": async (world) => {
      const entries = make(world, world.id());
      const other = make(world, world.id());
      await fill(entries, 1);
      await fill(other, 3);
      const { cursor: foreign } = await other.stats();
      const { cursor: newest } = await entries.stats();
      const beyond = newest.replace(/\d+$/, "1000");
      for (const after of [foreign, beyond]) {
        const reader = entries.reader({ after });
        assert.include(await nextEvent(reader), { type: "overflow", after, cursor: newest });
        assert.isNull(await reader.recv({ wait: false }));
      }
    },

    "the whole log may be gone: a reader behind it overflows, one at its end does not": async (world) => {
      const entries = make(world, world.id(), { eventRetentionMs: 10_000 });
      const { cursor: behind } = await entries.stats();
      await fill(entries, 2);
      const { cursor: end } = await entries.stats();
      await world.advance(10_001);
      assert.strictEqual((await entries.stats()).events, 0);
      assert.include(await nextEvent(entries.reader({ after: behind })), { type: "overflow", cursor: end });
      assert.isNull(await entries.reader({ after: end }).recv({ wait: false }));
    },

    "a reader that keeps up never overflows": async (world) => {
      const entries = make(world, world.id(), { eventMaxLen: 1, eventRetentionMs: 1000 });
      const reader = entries.reader();
      for (let i = 1; i <= 20; i++) {
        await entries.upsert({ key: `k/${i}`, value: String(i) });
        assert.deepEqual(await briefly(reader), upserts(i));
        if (i % 5 === 0) await world.advance(1001);
      }
      assert.deepEqual(
        (await briefly(reader)).filter((word) => word === "overflow"),
        [],
      );
    },

    "a parked reader gets every event of a burst": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const waiting = reader.recv();
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => entries.upsert({ key: `k/${i + 1}`, value: `${i + 1}` })),
      );
      const seen = [brief((await waiting)!), ...(await briefly(reader))];
      assert.deepEqual(seen, upserts(...Array.from({ length: 100 }, (_, i) => i + 1)));
    },

    "a reader with a prefix advances over what it passes over": async (world) => {
      const entries = make(world, world.id(), { eventMaxLen: 5 });
      const reader = entries.reader({ prefix: "a/" });
      await entries.upsert({ key: "a/1", value: "x" });
      assert.deepEqual(await briefly(reader), ['upsert a/1 "x"']);
      for (let i = 0; i < 20; i++) {
        await entries.upsert({ key: "b/1", value: "x" });
        if (i % 4 === 3) assert.isNull(await reader.recv({ wait: false }));
      }
      await entries.upsert({ key: "a/2", value: "x" });
      assert.deepEqual(await briefly(reader), ['upsert a/2 "x"']);
      assert.deepEqual(await briefly(entries.reader({ prefix: "a/", after: "0" })), ['upsert a/2 "x"']);
    },

    "a prefix finds its events among many pages of others": async (world) => {
      const entries = make(world, world.id());
      const { cursor: after } = await entries.stats();
      await Promise.all(
        Array.from({ length: 1500 }, (_, i) => entries.upsert({ key: `${i % 500 ? "b" : "a"}/${i}`, value: "x" })),
      );
      const found = await briefly(entries.reader({ prefix: "a/", after }));
      assert.deepEqual(found, ['upsert a/0 "x"', 'upsert a/500 "x"', 'upsert a/1000 "x"']);
      assert.lengthOf(await eventsNow(entries.reader({ prefix: "b/", after })), 1497);
    },
  });
}
