import { assert } from "chai";
import { z } from "zod";
import type { SchedulerMetric } from "../../src/memory.js";
import { ONE_TAB, cases } from "./case.js";
import { eventually, rejectsWith, rejectsWithRange } from "./expectations.js";
import {
  DAY,
  EPOCH_IS_TIME,
  HOUR,
  MINUTE,
  NO_METRICS,
  TOLD,
  nextRunAt,
  runsOf,
  scheduling,
  slotsOf,
} from "./scheduling.js";

const input = { what: "s" };

/** triggerNow, preview (with it: clocks that change), metrics. */
export const schedulerControl = cases("scheduler", {
  "triggerNow runs a schedule without start, and gives the job's id": async (world) => {
    const { id, scheduler, job, daily } = await scheduling(world);
    await daily({ meta: { a: 1 } });
    const runId = await scheduler.triggerNow({ id: "s" });
    const run = await job.get(runId);
    assert.deepEqual(run?.input, { what: "s" });
    assert.deepEqual(run?.meta, { a: 1, scheduleId: "s", schedulerId: id, scheduleTrigger: "manual" });
    assert.include(await scheduler.metrics(), { triggerSubmitted: 1, dispatchSubmitted: 0, isLeader: false });
  },

  "triggerNow moves neither nextRunAt nor lastRunAt": async (world) => {
    const { scheduler, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.triggerNow({ id: "s" });
    assert.include(await scheduler.get({ id: "s" }), { nextRunAt: first, lastRunAt: null });
  },

  "triggerNow moves no checkpoint: a slot that was missed before it is still recovered": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ misfire: "catch_up_one" });
    await clock.to(first + HOUR);
    await scheduler.triggerNow({ id: "s" });
    await scheduler.start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "triggerNow with a key runs once for that key": async (world) => {
    const { scheduler, job, daily } = await scheduling(world);
    await daily();
    const first = await scheduler.triggerNow({ id: "s", key: "k" });
    assert.strictEqual(await scheduler.triggerNow({ id: "s", key: "k" }), first);
    assert.notStrictEqual(await scheduler.triggerNow({ id: "s", key: "other" }), first);
    assert.notStrictEqual(await scheduler.triggerNow({ id: "s" }), await scheduler.triggerNow({ id: "s" }));
    const runs = await runsOf(job);
    assert.lengthOf(runs, 4);
    assert.strictEqual(runs[0]?.meta.scheduleManualKey, "k");
    assert.notProperty(runs[2]!.meta, "scheduleManualKey");
  },

  "keys of triggerNow belong to their schedule": async (world) => {
    const { clock, scheduler, job } = await scheduling(world);
    for (const id of ["a", "a:b"]) await scheduler.register({ id, cron: clock.daily(), job, input });
    const one = await scheduler.triggerNow({ id: "a", key: "b:c" });
    assert.notStrictEqual(await scheduler.triggerNow({ id: "a:b", key: "c" }), one);
  },

  "triggerNow runs a paused schedule": async (world) => {
    const { scheduler, job, daily } = await scheduling(world);
    await daily();
    await scheduler.pause({ id: "s" });
    await scheduler.triggerNow({ id: "s" });
    assert.lengthOf(await runsOf(job), 1);
  },

  "triggerNow of a schedule that is not there, or that nobody serves, is rejected": async (world) => {
    const { id, scheduler, job, daily } = await scheduling(world);
    await rejectsWith(scheduler.triggerNow({ id: "none" }), "VALIDATION");
    await daily();
    await Promise.all([scheduler.close(), job.close()]);
    const other = world.scheduler({ id });
    const error = await rejectsWith(other.triggerNow({ id: "s" }), "UNAVAILABLE");
    assert.match(error.message, /missing handler/);
    assert.include(await other.metrics(), { triggerRejected: 2, triggerSubmitted: 0 });
  },

  "triggerNow rejects with what the job refuses with": async (world) => {
    const { scheduler, job, daily } = await scheduling(world);
    await daily({ input: { what: "x".repeat(131_040) } });
    await rejectsWith(scheduler.triggerNow({ id: "s" }), "PAYLOAD_TOO_LARGE");
    assert.include(await scheduler.metrics(), { triggerFailed: 1 });
    assert.lengthOf(await runsOf(job), 0);
  },

  "preview gives the next slots of a schedule, and of an expression": async (world) => {
    const { clock, scheduler, daily } = await scheduling(world);
    const first = await daily();
    assert.deepEqual(await scheduler.preview({ id: "s", count: 3 }), [first, first + DAY, first + 2 * DAY]);
    assert.lengthOf(await scheduler.preview({ id: "s" }), 5);
    const [slot] = await scheduler.preview({ cron: "30 12 24 12 *", tz: "America/New_York", count: 1 });
    assert.match(new Date(slot!).toISOString(), /-12-24T17:30:00.000Z$/);
    assert.isAbove(slot!, clock.now());
    await rejectsWith(scheduler.preview({ id: "none" }), "VALIDATION");
    await rejectsWithRange(scheduler.preview({ id: "s", count: 0 }));
    await rejectsWithRange(scheduler.preview({ id: "s", count: 1001 }));
  },

  "a local time that comes twice is one slot, one that does not come is made up for after the gap": async (world) => {
    const { scheduler } = await scheduling(world);
    const slots = await scheduler.preview({ cron: "30 2 * * *", tz: "Europe/Berlin", count: 730 });
    const local = new Intl.DateTimeFormat("sv-SE", {
      timeZone: "Europe/Berlin",
      dateStyle: "short",
      timeStyle: "short",
    });
    const shown = slots.map((slot) => local.format(slot));
    assert.lengthOf(new Set(shown.map((text) => text.slice(0, 10))), 730, "each day once");
    const odd = shown.filter((text) => !text.endsWith(" 02:30"));
    assert.lengthOf(odd, 2, "two springs");
    assert.isTrue(odd.every((text) => text.endsWith(" 03:00")));
    // In autumn the first of the two: the day between has 24 hours, the next one 25.
    assert.lengthOf(
      slots.filter((slot, i) => i > 0 && slot - slots[i - 1]! === 25 * HOUR),
      2,
    );
  },

  "reference fault: a repeated hour does not pause schedules that follow real hours": async (world) => {
    const { scheduler } = await scheduling(world);
    // October alone, so that a thousand slots reach into the last Sunday from wherever this begins.
    const slots = await scheduler.preview({ cron: "*/30 * 25-31 10 0", tz: "Europe/Berlin", count: 1000 });
    const hours = slots.map((slot) => new Date(slot).getUTCHours());
    assert.include(hours, 0, "02:00, summer time");
    assert.include(hours, 1, "02:00, winter time");
    const pauses = slots.map((slot, i) => slot - (slots[i - 1] ?? slot - 30 * MINUTE)).filter((ms) => ms < DAY);
    assert.isTrue(pauses.every((ms) => ms === 30 * MINUTE));
  },

  "a slot in an hour that is shown twice runs once": async (world) => {
    const space = world.fresh();
    const { clock, scheduler, job } = await scheduling(space);
    const schedule = { id: "s", cron: "30 2 * * *", tz: "Europe/Berlin", job, input };
    const { cron, tz } = schedule;
    const slots = await scheduler.preview({ cron, tz, count: 400 });
    const autumn = slots.find((slot, i) => slots[i + 1]! - slot === 25 * HOUR)!;
    await clock.to(autumn - HOUR);
    await scheduler.register(schedule);
    await scheduler.start();
    await clock.to(autumn);
    assert.deepEqual(await slotsOf(job), [autumn]);
    await clock.to(autumn + HOUR);
    assert.deepEqual(await slotsOf(job), [autumn], "the second time that clocks show it");
    await clock.to(autumn + 25 * HOUR);
    assert.deepEqual(await slotsOf(job), [autumn, autumn + 25 * HOUR]);
  },

  "29 February is found across the years": async (world) => {
    const { scheduler } = await scheduling(world);
    const slots = await scheduler.preview({ cron: "0 0 29 2 *", count: 40 });
    assert.isTrue(slots.every((slot) => new Date(slot).toISOString().slice(5, 10) === "02-29"));
    assert.isTrue(
      slots.some((slot, i) => i > 0 && slot - slots[i - 1]! > 7 * 365 * DAY),
      "2100 is no leap year",
    );
  },

  "metrics count what happened, and know the leader": {
    skip: EPOCH_IS_TIME,
    async run(world) {
      const { clock, id, scheduler, daily } = await scheduling(world);
      const first = await daily();
      assert.deepEqual(await scheduler.metrics(), NO_METRICS);
      await scheduler.start();
      await clock.to(first);
      const metrics = await scheduler.metrics();
      assert.include(metrics, { isLeader: true, leaderEpoch: 1, leaderChanges: 1, dispatchSubmitted: 1 });
      assert.approximately(metrics.lastTickAt!, first, 60_000);
      const other = world.scheduler({ id });
      assert.isFalse((await other.metrics()).isLeader);
      await scheduler.stop();
      await other.start();
      assert.include(await other.metrics(), { isLeader: true, leaderEpoch: 2, leaderChanges: 3 });
    },
  },

  "onMetric hears what happens at the scheduler": {
    skip: EPOCH_IS_TIME,
    async run(world) {
      const heard: SchedulerMetric[] = [];
      const { clock, id, scheduler, daily } = await scheduling(world, { onMetric: (metric) => heard.push(metric) });
      const types = (): string[] => heard.map(({ type }) => type);
      const first = await daily();
      await daily();
      await scheduler.start();
      await clock.to(first);
      const runId = await scheduler.triggerNow({ id: "s" });
      await scheduler.unregister({ id: "s" });
      await scheduler.unregister({ id: "s" });
      await scheduler.stop();
      await eventually(() => types().includes("leader_lost"), "the last event");
      assert.deepEqual(types(), TOLD);
      assert.isTrue(heard.every(({ schedulerId }) => schedulerId === id));
      assert.deepInclude(heard[0], { scheduleId: "s", created: true });
      assert.deepInclude(heard[1], { created: false });
      assert.deepInclude(heard[4], { scheduleId: "s", slotTs: first });
      assert.deepInclude(heard[5], { runId });
      assert.deepInclude(heard[8], { reason: "stop", leaderEpoch: 1 });
    },
  },

  "onMetric hears other handles, and may throw": async (world) => {
    const { id, daily } = await scheduling(world);
    const heard: string[] = [];
    const failing = world.scheduler({
      id,
      onMetric() {
        throw new Error("not the scheduler's business");
      },
    });
    const listening = world.scheduler({ id, onMetric: ({ type }) => heard.push(type) });
    await Promise.all([failing.list(), listening.list()]);
    await daily();
    await eventually(() => heard.length > 0, "an event of another handle");
    assert.deepEqual(heard, ["schedule_registered"]);
    await listening.close();
    await failing.close();
    await daily();
    await world.scheduler({ id }).list();
    assert.lengthOf(heard, 1, "closed handles hear nothing");
  },

  "onMetric hears other tabs": {
    skip: ONE_TAB,
    async run(world) {
      const { id, daily } = await scheduling(world);
      const heard: string[] = [];
      const listening = world.tab().scheduler({ id, onMetric: ({ type }) => heard.push(type) });
      await listening.list();
      await daily();
      await eventually(() => heard.includes("schedule_registered"), "an event of another tab");
    },
  },

  "inspect shows a scheduler with its schedules": async (world) => {
    const { id, scheduler, daily } = await scheduling(world);
    const first = await daily();
    const inspector = world.entry.inspect(world.backend);
    const instances = await inspector.instances();
    const found = instances.find(({ name }) => name.kind === "scheduler" && name.id === id);
    assert.deepEqual(found?.stats, { ...(await scheduler.stats()) });
    const [schedule] = await inspector.peek(found!.name);
    assert.deepInclude(schedule, { id: "s", nextRunAt: first });
  },

  "a job with a transforming schema gets what it was scheduled with": async (world) => {
    const { clock, scheduler } = await scheduling(world);
    const schema = z.object({ at: z.string().transform((text) => new Date(text)) });
    const got: Date[] = [];
    const job = world.job({ id: world.id(), schema, process: (run) => void got.push(run.input.at) });
    await scheduler.register({ id: "s", cron: clock.daily(), job, input: { at: "2030-01-02T03:04:05.000Z" } });
    await scheduler.start();
    await clock.to(await nextRunAt(scheduler));
    await eventually(() => got.length > 0, "the job runs");
    assert.strictEqual(got[0]?.getTime(), Date.UTC(2030, 0, 2, 3, 4, 5));
    await job.close();
  },
});
