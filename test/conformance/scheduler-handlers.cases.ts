import { assert } from "chai";
import type { SchedulerMetric } from "../../src/memory.js";
import { ONE_TAB, cases } from "./case.js";
import { eventually } from "./expectations.js";
import { DAY, EPOCH_IS_TIME, HOUR, SECOND, nextRunAt, producer, runsOf, scheduling, slotsOf } from "./scheduling.js";

const input = { what: "s" };

/** What becomes of a due slot whose job has no handler, or refuses it. */
export const schedulerHandlers = cases("scheduler", {
  "a job that was registered here has a handler, be it a producer": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "a job's handle that is closed is no handler any more, though its schedule lives": async (world) => {
    const { clock, jobId, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await job.close();
    await clock.to(first);
    assert.deepEqual(await slotsOf(producer(world, jobId)), []);
    assert.strictEqual(await nextRunAt(scheduler), first);
  },

  "strict: a slot without a handler waits, is reported once, and runs when a handler comes": async (world) => {
    const heard: SchedulerMetric[] = [];
    const { clock, id, jobId, scheduler, job, daily } = await scheduling(world);
    const another = producer(world, jobId);
    const first = await daily();
    const watching = world.scheduler({ id, onMetric: (metric) => heard.push(metric) });
    await watching.start();
    await Promise.all([scheduler.close(), job.close()]);
    await clock.to(first);
    await clock.advance(2 * SECOND);
    await clock.advance(2 * SECOND);
    assert.deepEqual(await slotsOf(another), []);
    assert.strictEqual(await nextRunAt(watching), first);
    assert.strictEqual((await watching.metrics()).dispatchSkipped, 1);
    await another.start();
    await clock.advance(SECOND);
    assert.deepEqual(await slotsOf(another), [first]);
    await eventually(() => heard.some(({ type }) => type === "dispatch_submitted"), "the last event");
    const skipped = heard.filter(({ type }) => type === "dispatch_skipped");
    assert.lengthOf(skipped, 1);
    assert.include(skipped[0], { reason: "missing_handler", scheduleId: "s", slotTs: first });
  },

  "strict: registering the job anew is a handler, and need not wait for a tick": async (world) => {
    const { clock, id, jobId, scheduler, job, daily } = await scheduling(world, {
      dispatch: { tickMs: HOUR },
      graceMs: DAY,
    });
    const another = producer(world, jobId);
    const cron = clock.daily();
    const first = await daily({ cron });
    const other = world.scheduler({ id, dispatch: { tickMs: HOUR }, graceMs: DAY });
    await other.start();
    await Promise.all([scheduler.close(), job.close()]);
    await clock.to(first);
    assert.deepEqual(await slotsOf(another), []);
    await other.register({ id: "s", cron, job: another, input });
    await clock.advance(0);
    assert.deepEqual(await slotsOf(another), [first]);
  },

  "strict: a slot that waited for longer than graceMs is backlog": async (world) => {
    const { clock, id, jobId, scheduler, job, daily } = await scheduling(world);
    const another = producer(world, jobId);
    const first = await daily();
    const other = world.scheduler({ id });
    await other.start();
    await Promise.all([scheduler.close(), job.close()]);
    await clock.to(first);
    await clock.advance(HOUR);
    assert.strictEqual(await nextRunAt(other), first + DAY);
    await another.start();
    await clock.advance(SECOND);
    assert.deepEqual(await slotsOf(another), []);
  },

  "not strict: a slot without a handler is left out, and the schedule goes on": async (world) => {
    const { clock, id, jobId, scheduler, job, daily } = await scheduling(world, { strictHandlers: false });
    const another = producer(world, jobId);
    const first = await daily({ misfire: "catch_up_all" });
    const other = world.scheduler({ id, strictHandlers: false });
    await other.start();
    await Promise.all([scheduler.close(), job.close()]);
    await clock.to(first);
    await clock.advance(SECOND);
    assert.strictEqual(await nextRunAt(other), first + DAY);
    await another.start();
    await clock.to(first + DAY);
    assert.deepEqual(await slotsOf(another), [first + DAY]);
  },

  "schedules that nobody can serve do not hold up others": async (world) => {
    const dispatch = { maxSubmitsPerTick: 2 };
    const { clock, id, scheduler, job } = await scheduling(world, { dispatch });
    const unserved = producer(world);
    const cron = clock.daily();
    for (const name of ["a", "b", "c", "d"]) {
      await scheduler.register({ id: name, cron, job: unserved, input, misfire: "catch_up_all" });
    }
    const other = world.scheduler({ id, dispatch });
    await other.register({ id: "s", cron, job, input });
    await other.start();
    await Promise.all([scheduler.close(), unserved.close()]);
    const first = await nextRunAt(other);
    await clock.to(first);
    for (let i = 0; i < 5; i++) await clock.advance(SECOND);
    assert.deepEqual(await slotsOf(job), [first]);
    assert.strictEqual(await nextRunAt(other, "a"), first);
  },

  "a handler in any tab will do": {
    skip: ONE_TAB,
    async run(world) {
      const { clock, id, jobId, scheduler, job, daily } = await scheduling(world);
      const another = producer(world, jobId);
      const first = await daily();
      const other = world.scheduler({ id });
      await other.start();
      await Promise.all([scheduler.close(), job.close()]);
      await producer(world.tab(), jobId).start();
      await clock.to(first);
      assert.deepEqual(await slotsOf(another), [first]);
    },
  },

  "what was submitted waits for a worker": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    await scheduler.start();
    await clock.to(await daily());
    await scheduler.close();
    assert.strictEqual((await runsOf(job))[0]?.status, "submitted");
  },

  "a run that its job refuses goes to the dlq, and the schedule goes on": {
    skip: EPOCH_IS_TIME,
    async run(world) {
      const heard: SchedulerMetric[] = [];
      const onMetric = (metric: SchedulerMetric): void => void heard.push(metric);
      const { clock, id, scheduler, job, daily } = await scheduling(world, { onMetric });
      // What a scheduled run carries besides makes it too large.
      const first = await daily({ input: { what: "x".repeat(131_040) } });
      await scheduler.start();
      await clock.to(first);
      assert.deepEqual(await slotsOf(job), []);
      const [entry, ...others] = await scheduler.dlq();
      assert.lengthOf(others, 0);
      assert.include(entry, { scheduleId: "s", slotTs: first, schedulerId: id, leaderEpoch: 1 });
      assert.match(entry!.message, /limit/);
      assert.approximately(entry!.ts, clock.now(), 60_000);
      assert.strictEqual(await nextRunAt(scheduler), first + DAY);
      assert.include(await scheduler.metrics(), { dispatchFailed: 1, dispatchDlq: 1, dispatchSubmitted: 0 });
      await clock.to(first + DAY);
      assert.deepEqual(
        (await scheduler.dlq()).map(({ slotTs }) => slotTs),
        [first + DAY, first],
        "newest first",
      );
      assert.lengthOf(await scheduler.dlq({ limit: 1 }), 1);
      await eventually(() => heard.filter(({ type }) => type === "dispatch_failed").length === 2, "the last event");
      assert.deepEqual(
        heard
          .map(({ type }) => type)
          .filter((type) => type.startsWith("dispatch_"))
          .slice(0, 3),
        ["dispatch_dlq", "dispatch_advanced_after_failures", "dispatch_failed"],
      );
    },
  },

  "the dlq keeps the newest dlqMaxEntries": async (world) => {
    const { clock, scheduler, daily } = await scheduling(world, { dispatch: { dlqMaxEntries: 2 } });
    const first = await daily({ input: { what: "x".repeat(131_040) } });
    await scheduler.start();
    for (let day = 0; day < 3; day++) await clock.to(first + day * DAY);
    assert.deepEqual(
      (await scheduler.dlq()).map(({ slotTs }) => slotTs),
      [first + 2 * DAY, first + DAY],
    );
  },
});
