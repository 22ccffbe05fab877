import { assert } from "chai";
import { ONE_TAB, cases } from "./case.js";
import { eventually, rejectsWith } from "./expectations.js";
import { eventsOf, gate, idleJob, textJob, typesOf } from "./working.js";

/** events: readers and live listeners. */
export const jobEvents = cases("job", {
  "a reader begins with the job, and gives each event once": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const id = await job.submit({ input: "a" });
    await job.join({ id });
    const reader = job.events(id).reader("watchers");
    assert.strictEqual(reader.group, "watchers");
    const types = [];
    for await (const { data } of reader.stream({ wait: false })) types.push(data.type);
    assert.deepEqual(types, ["submitted", "started", "completed"]);
    assert.isNull(await reader.recv({ wait: false }));
    assert.isNull(await reader.recv({ timeoutMs: 0 }));
    await reader.close();
    await rejectsWith(reader.recv(), "CLOSED");
  },

  "events of other jobs are left out": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const a = await job.submit({ input: "a" });
    const b = await job.submit({ input: "b" });
    await job.join({ id: b });
    for (const id of [a, b]) {
      for (const event of await eventsOf(job, id)) assert.strictEqual(event.jobId, id);
      assert.deepEqual(await typesOf(job, id), ["submitted", "started", "completed"]);
    }
    assert.deepEqual(await eventsOf(job, "unknown"), []);
  },

  "an event has a cursor, a time, and a commit that is true once": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    const event = await job.events(id).reader().recv();
    assert.deepEqual(event!.data, { type: "submitted", jobId: id });
    assert.match(event!.cursor, /^[0-9A-Za-z]+\.\d+$/);
    assert.strictEqual(event!.eventId, event!.cursor);
    assert.strictEqual(event!.publishedAt, (await job.get(id))!.submittedAt);
    assert.isTrue(await event!.commit());
    assert.isFalse(await event!.commit());
  },

  "every reader has its own position, whatever its group": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    const events = job.events(id);
    assert.strictEqual((await events.reader("g").recv())?.data.type, "submitted");
    assert.strictEqual((await events.reader("g").recv())?.data.type, "submitted");
  },

  "live gives what happens from its call on, also what its own client does next": async (world) => {
    const job = textJob(world, ({ input }) => input);
    await job.pause();
    const id = await job.submit({ input: "a" });
    const live = job.events(id).live();
    void job.resume();
    const types = [];
    for await (const { data } of live) {
      types.push(data.type);
      if (data.type === "completed") break;
    }
    assert.deepEqual(types, ["started", "completed"]);
  },

  "live from the beginning replays, and a cursor goes on behind it": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const id = await job.submit({ input: "a" });
    await job.join({ id });
    const cursors: string[] = [];
    for await (const event of job.events(id).live({ after: "0-0" })) {
      cursors.push(event.cursor);
      if (event.data.type === "completed") break;
    }
    assert.lengthOf(cursors, 3);
    const after = [];
    for await (const event of job.events(id).live({ after: cursors[0]!, timeoutMs: 20 })) after.push(event.data.type);
    assert.deepEqual(after, ["started", "completed"]);
  },

  "live ends normally when aborted, and when the handle is closed": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    const abort = new AbortController();
    const first = job.events(id).live({ signal: abort.signal });
    const ending = first.next();
    const second = job.events(id).live().next();
    await job.stats();
    abort.abort();
    assert.isTrue((await ending).done);
    await job.close();
    assert.isTrue((await second).done);
  },

  "a cursor that is none is refused, one of another log is a gap": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    await rejectsWith(job.events(id).live({ after: "nonsense" }).next(), "VALIDATION");
    await rejectsWith(job.events(id).live({ after: "OTHER.5" }).next(), "GAP");
    const patient = job.events(id).live({ after: "OTHER.5", onGap: "continue", timeoutMs: 20 });
    assert.strictEqual(((await patient.next()).value as { data: { type: string } }).data.type, "submitted");
  },

  "events expire after retentionMs, and who was behind gets a gap once": async (world) => {
    const job = idleJob(world, { retentionMs: 60_000 });
    const id = await job.submit({ input: "a" });
    const { cursor } = (await job.events(id).reader().recv())!;
    const other = await job.submit({ input: "b" });
    await world.advance(60_001);
    assert.deepEqual(await eventsOf(job, id), []);
    await rejectsWith(job.events(other).live({ after: cursor }).next(), "GAP");
    // The job itself is not finished, and stays.
    assert.include(await job.get(id), { status: "submitted" });
  },

  "a listener in another tab hears it": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const go = gate();
      const job = textJob(
        world,
        async ({ ctx }) => {
          await go.opened;
          await ctx.progress("half");
        },
        { id },
      );
      const submitted = await job.submit({ input: "a" });
      const there = idleJob(world.tab(), { id });
      const types: string[] = [];
      const listening = (async () => {
        for await (const { data } of there.events(submitted).live({ after: "0" })) {
          types.push(data.type);
          if (data.type === "completed") return;
        }
      })();
      await eventually(() => types.includes("started"), "it is heard");
      go.open();
      await listening;
      assert.deepEqual(types, ["submitted", "started", "progress", "completed"]);
    },
  },

  "a parked recv hears what comes": async (world) => {
    const job = textJob(world, ({ input }) => input);
    await job.pause();
    const id = await job.submit({ input: "a" });
    const reader = job.events(id).reader();
    await reader.recv();
    const next = reader.recv();
    await job.resume();
    assert.strictEqual((await next)?.data.type, "started");
    const abort = new AbortController();
    await job.join({ id });
    await reader.recv();
    const aborted = reader.recv({ signal: abort.signal });
    abort.abort();
    assert.isNull(await aborted);
  },
});
