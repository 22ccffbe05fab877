import { assert } from "chai";
import { type Case, ONE_TAB, cases } from "./case.js";
import { brief, briefly, nextEvent } from "./entries.js";
import { type Make, fill, makers, upserts } from "./entry-kinds.js";
import { eventually, isPending, rejectsWith, rejectsWithRange } from "./expectations.js";

const endOf = { done: true, value: undefined } as const;

/** Readers: how they wait, share, and end. */
export function entryRecvCases(primitive: keyof typeof makers): Case[] {
  const make: Make = makers[primitive];
  return cases(primitive, {
    "recv waits for an event, and gives null when its time is over": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const waiting = reader.recv();
      await entries.stats();
      assert.isTrue(await isPending(waiting));
      await fill(entries, 1);
      assert.strictEqual(brief((await waiting)!), upserts(1)[0]);
      assert.isNull(await reader.recv({ timeoutMs: 5 }));
      assert.isNull(await reader.recv({ timeoutMs: 5, signal: new AbortController().signal }));
    },

    "reference fault: timeoutMs 0 does not wait": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      assert.isNull(await reader.recv({ timeoutMs: 0 }));
      assert.isNull(await reader.recv({ wait: false }));
      await fill(entries, 1);
      assert.strictEqual(brief((await reader.recv({ timeoutMs: 0 }))!), upserts(1)[0]);
    },

    "wait: false sees what its own tab just wrote": async (world) => {
      const id = world.id();
      const reader = make(world, id).reader();
      const writer = make(world, id);
      await writer.stats();
      for (let i = 1; i <= 50; i++) {
        await writer.upsert({ key: `k/${i}`, value: String(i) });
        assert.strictEqual(brief((await reader.recv({ wait: false }))!), upserts(i)[0]);
      }
    },

    "timings out of range are refused": async (world) => {
      const reader = make(world, world.id()).reader();
      for (const timeoutMs of [-1, 1.5, Number.NaN, Infinity]) await rejectsWithRange(reader.recv({ timeoutMs }));
    },

    "an aborted recv gives null and swallows nothing": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const abort = new AbortController();
      const waiting = reader.recv({ signal: abort.signal });
      await entries.stats();
      abort.abort(new Error("enough"));
      assert.isNull(await waiting);
      assert.isNull(await reader.recv({ signal: AbortSignal.abort() }));
      await fill(entries, 1);
      assert.deepEqual(await briefly(reader), upserts(1));
    },

    "one who waits long does not hold up one who does not": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const patient = reader.recv();
      await entries.stats();
      assert.isNull(await reader.recv({ wait: false }));
      assert.isNull(await reader.recv({ timeoutMs: 5 }));
      const abort = new AbortController();
      const aborted = reader.recv({ signal: abort.signal });
      abort.abort();
      assert.isNull(await aborted);
      await fill(entries, 2);
      assert.strictEqual(brief((await patient)!), upserts(1)[0]);
      assert.strictEqual(brief((await reader.recv())!), upserts(2)[0]);
    },

    "concurrent streams of one reader advance one cursor in order": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const seen: string[] = [];
      const abort = new AbortController();
      const drain = async (): Promise<void> => {
        for await (const event of reader.stream({ signal: abort.signal })) seen.push(brief(event));
      };
      const drains = [drain(), drain(), drain()];
      await fill(entries, 30);
      await eventually(() => seen.length === 30, "30 events");
      abort.abort();
      await Promise.all(drains);
      assert.deepEqual(seen, upserts(...Array.from({ length: 30 }, (_, i) => i + 1)));
    },

    "concurrent recvs without waiting share what is there": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      await fill(entries, 2);
      const got = await Promise.all([1, 2, 3].map(() => reader.recv({ wait: false })));
      assert.deepEqual(
        got.map((event) => event && brief(event)),
        [...upserts(1, 2), null],
      );
    },

    "a stream goes on waiting, and ends without throwing": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const stream = reader.stream();
      const first = stream.next();
      await fill(entries, 1);
      assert.strictEqual(brief((await first).value!), upserts(1)[0]);
      const abort = new AbortController();
      const aborted = reader.stream({ signal: abort.signal }).next();
      abort.abort();
      assert.deepEqual(await aborted, endOf);
      const parked = stream.next();
      await stream.return?.();
      assert.deepEqual(await parked, endOf);
      await entries.upsert({ key: "k/2", value: "2" });
      assert.deepEqual(await briefly(reader), upserts(2));
    },

    "closing a reader ends it, and leaves the others alone": async (world) => {
      const entries = make(world, world.id());
      const reader = entries.reader();
      const other = entries.reader();
      const parked = reader.recv();
      const stream = reader.stream();
      const next = stream.next();
      const still = other.recv();
      await entries.stats();
      await reader.close();
      await reader.close();
      await reader[Symbol.asyncDispose]();
      assert.isNull(await parked);
      assert.deepEqual(await next, endOf);
      await rejectsWith(reader.recv(), "CLOSED");
      await rejectsWith(reader.stream().next(), "CLOSED");
      await fill(entries, 1);
      assert.strictEqual(brief((await still)!), upserts(1)[0]);
    },

    "closing a reader while it is anchored ends it": async (world) => {
      const reader = make(world, world.id()).reader();
      const parked = reader.recv();
      await reader.close();
      assert.isNull(await parked);
    },

    "closing the handle ends its readers": async (world) => {
      const id = world.id();
      const entries = make(world, id);
      const reader = entries.reader();
      const parked = reader.recv();
      const next = reader.stream().next();
      await entries.stats();
      await entries.close();
      assert.isNull(await parked);
      assert.deepEqual(await next, endOf);
      await rejectsWith(reader.recv(), "CLOSED");
      const others = make(world, id);
      const still = others.reader();
      await others.upsert({ key: "k/1", value: "1" });
      assert.deepEqual(await briefly(still), upserts(1));
    },

    "a reader hears what another tab does": {
      skip: ONE_TAB,
      async run(world) {
        const id = world.id();
        const entries = make(world, id);
        const reader = entries.reader();
        await entries.stats();
        const other = make(world.tab(), id);
        await fill(other, 3);
        const seen: string[] = [];
        while (seen.length < 3) seen.push(brief(await nextEvent(reader)));
        assert.deepEqual(seen, upserts(1, 2, 3));
      },
    },
  });
}
