import { assert } from "chai";
import { z } from "zod";
import { ONE_TAB, cases } from "./case.js";
import { eventually } from "./expectations.js";
import { DAY, HOUR, MINUTE, SECOND, nextRunAt, producer, runsOf, scheduling, slotsOf } from "./scheduling.js";

const input = { what: "s" };

/** Which slots run: on time, late, while nobody has started, once for all handles and tabs. */
export const schedulerSlots = cases("scheduler", {
  ...Object.fromEntries(
    (["skip", "catch_up_one", "catch_up_all"] as const).map((misfire) => [
      `reference fault: an on-time slot runs, with misfire ${misfire}`,
      async (world) => {
        const { clock, scheduler, job, daily } = await scheduling(world);
        const first = await daily({ misfire });
        await scheduler.start();
        await clock.to(first);
        assert.deepEqual(await slotsOf(job), [first]);
        await clock.to(first + DAY);
        assert.deepEqual(await slotsOf(job), [first, first + DAY]);
        assert.strictEqual(await nextRunAt(scheduler), first + 2 * DAY);
      },
    ]),
  ),

  'the default misfire is "skip", and runs what is on time': async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    assert.strictEqual((await scheduler.get({ id: "s" }))?.misfire, "skip");
    await scheduler.start();
    await clock.to(first);
    assert.lengthOf(await slotsOf(job), 1);
  },

  "a slot that is less than graceMs late is on time": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world, { graceMs: 10 * MINUTE });
    const first = await daily();
    await scheduler.start();
    await clock.to(first + 9 * MINUTE);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "several slots that are on time all run, under skip too": async (world) => {
    const { clock, scheduler, job } = await scheduling(world, { graceMs: 10 * MINUTE });
    await scheduler.register({ id: "s", cron: "* * * * *", job, input });
    const first = await nextRunAt(scheduler);
    await clock.to(first + 2 * MINUTE);
    await scheduler.start();
    await clock.advance(0);
    assert.includeMembers(await slotsOf(job), [first, first + MINUTE, first + 2 * MINUTE]);
  },

  "a grace that is shorter than a tick does not make every slot late": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world, { graceMs: 0, dispatch: { tickMs: 5000 } });
    const first = await daily();
    await scheduler.start();
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "misfire skip leaves out what is more than graceMs late": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await clock.to(first + HOUR);
    assert.deepEqual(await slotsOf(job), []);
    assert.strictEqual(await nextRunAt(scheduler), first + DAY);
    assert.strictEqual((await scheduler.metrics()).dispatchSkipped, 1);
  },

  "misfire catch_up_one runs the oldest late slot and leaves out the others": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ misfire: "catch_up_one" });
    await clock.to(first + 3 * DAY + HOUR);
    await scheduler.start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first]);
    assert.strictEqual(await nextRunAt(scheduler), first + 4 * DAY);
  },

  "misfire catch_up_one runs what is on time besides": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ misfire: "catch_up_one" });
    await clock.to(first + 3 * DAY);
    await scheduler.start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first, first + 3 * DAY]);
  },

  "misfire catch_up_all runs all late slots, maxCatchUpRuns in a tick": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world, { dispatch: { tickMs: 60_000 } });
    const first = await daily({ misfire: "catch_up_all", maxCatchUpRuns: 2 });
    await clock.to(first + 4 * DAY + HOUR);
    await scheduler.start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first, first + DAY]);
    await clock.advance(61 * SECOND);
    assert.lengthOf(await slotsOf(job), 4);
    await clock.advance(61 * SECOND);
    assert.deepEqual(
      await slotsOf(job),
      [0, 1, 2, 3, 4].map((days) => first + days * DAY),
    );
  },

  "maxSubmitsPerTick is shared by all schedules, and what is on time comes before backlog": async (world) => {
    const dispatch = { tickMs: 60_000, maxSubmitsPerTick: 3 };
    const { clock, scheduler, job, daily } = await scheduling(world, { dispatch });
    const first = await daily({ misfire: "catch_up_all" });
    await clock.to(first + 5 * DAY + HOUR);
    await scheduler.register({ id: "fresh", cron: clock.daily(2 * MINUTE), job, input });
    await clock.to(await nextRunAt(scheduler, "fresh"));
    await scheduler.start();
    await clock.advance(0);
    const ids = async (): Promise<string[]> => (await runsOf(job)).map(({ meta }) => meta.scheduleId);
    assert.deepEqual(await ids(), ["fresh", "s", "s"]);
    await clock.advance(61 * SECOND);
    assert.deepEqual(await ids(), ["fresh", "s", "s", "s", "s", "s"]);
  },

  "nothing runs before start, and nothing after stop": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), []);
    await scheduler.start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first]);
    await scheduler.stop();
    await clock.to(first + DAY);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "start and stop are idempotent, and a stopped scheduler may start again": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    await scheduler.stop();
    const first = await daily();
    await Promise.all([scheduler.start(), scheduler.start()]);
    await scheduler.stop();
    await scheduler.stop();
    assert.isFalse((await scheduler.metrics()).isLeader);
    await scheduler.start();
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "a slot runs once, however many handles have started": async (world) => {
    const { clock, id, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    const other = world.scheduler({ id });
    await Promise.all([scheduler.start(), other.start()]);
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
    // One stops: the other goes on.
    await scheduler.stop();
    await clock.to(first + DAY);
    assert.deepEqual(await slotsOf(job), [first, first + DAY]);
  },

  "a slot runs once, however many tabs have registered and started": {
    skip: ONE_TAB,
    async run(world) {
      const { clock, id, jobId, scheduler, job } = await scheduling(world);
      const cron = clock.daily();
      for (const tab of [world, world.tab(), world.tab()]) {
        const here = tab.scheduler({ id });
        await here.register({ id: "s", cron, job: producer(tab, jobId), input });
        await here.start();
      }
      const first = await nextRunAt(scheduler);
      await clock.to(first);
      assert.deepEqual(await slotsOf(job), [first]);
    },
  },

  "a schedule outlives the handle that registered it, and runs through another one": async (world) => {
    const { clock, id, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    // Any call: the job is there, in this tab.
    await job.start();
    await scheduler.start();
    await scheduler.close();
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [], "nobody has started");
    await world.scheduler({ id }).start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "a schedule runs through another tab when its own has closed, once": {
    skip: ONE_TAB,
    async run(world) {
      const { clock, id, jobId, job } = await scheduling(world);
      const tab = world.tab();
      const gone = tab.scheduler({ id });
      await gone.register({ id: "s", cron: clock.daily(), job: producer(tab, jobId), input });
      await gone.start();
      const here = world.scheduler({ id });
      await here.start();
      await job.start();
      const first = await nextRunAt(here);
      await tab.close();
      await clock.to(first);
      assert.deepEqual(await slotsOf(job), [first]);
    },
  },

  "the tab that registered a job runs it, without having submitted anything": async (world) => {
    const { clock, scheduler } = await scheduling(world);
    const ran: string[] = [];
    const schema = z.object({ what: z.string() });
    const job = world.job({ id: world.id(), schema, process: (run) => void ran.push(run.input.what) });
    await scheduler.register({ id: "s", cron: clock.daily(), job, input: { what: "done" } });
    await scheduler.start();
    await clock.to(await nextRunAt(scheduler));
    await eventually(() => ran.length > 0, "the scheduled job runs");
    assert.deepEqual(ran, ["done"]);
    await job.close();
  },

  "a clock that is set back runs no slot again": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await clock.to(first);
    await clock.advance(-2 * HOUR);
    assert.strictEqual(await nextRunAt(scheduler), first + DAY);
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "a schedule that is made anew after the clock was set back does not repeat a slot": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const cron = clock.daily();
    const first = await daily({ cron });
    await scheduler.start();
    await clock.to(first);
    await clock.advance(-2 * HOUR);
    await scheduler.unregister({ id: "s" });
    assert.strictEqual(await daily({ cron }), first);
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "a clock that is set forward makes backlog, not runs": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await clock.to(first + 10 * DAY + HOUR);
    assert.deepEqual(await slotsOf(job), []);
    assert.strictEqual(await nextRunAt(scheduler), first + 11 * DAY);
  },

  "the first slot that was missed is recovered: it is known from registering on": async (world) => {
    const { clock, id, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ misfire: "catch_up_one" });
    await scheduler.close();
    await clock.to(first + 2 * DAY + HOUR);
    const later = world.scheduler({ id });
    await later.register({ id: "s", cron: (await later.get({ id: "s" }))!.cron, job, input, misfire: "catch_up_one" });
    await later.start();
    await clock.advance(0);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "schedules of the same name in two schedulers that share a job both run": async (world) => {
    const { clock, job, daily, scheduler } = await scheduling(world);
    const first = await daily();
    const other = world.scheduler({ id: world.id() });
    await other.register({ id: "s", cron: clock.daily(), job, input });
    await Promise.all([scheduler.start(), other.start()]);
    await clock.to(Math.max(first, await nextRunAt(other)));
    const schedulers = (await runsOf(job)).map(({ meta }) => meta.schedulerId);
    assert.lengthOf(new Set(schedulers), 2);
  },

  "names that join to the same text stay apart": async (world) => {
    const { clock, id, job } = await scheduling(world);
    const cron = clock.daily();
    const names = [
      { prefix: "", tenantId: "default", id: `${id}:a`, schedule: "b" },
      { prefix: "", tenantId: "default", id, schedule: "a:b" },
      { prefix: `${id}:`, tenantId: "default", id: "a", schedule: "b" },
      { prefix: "", tenantId: `${id}","a`, id, schedule: "b" },
      { prefix: "", tenantId: "default", id, schedule: '","b' },
    ];
    let first = 0;
    for (const { schedule, ...name } of names) {
      const scheduler = world.scheduler(name);
      await scheduler.register({ id: schedule, cron, job, input });
      await scheduler.start();
      first = await nextRunAt(scheduler, schedule);
    }
    await clock.to(first);
    const runs = await runsOf(job);
    assert.lengthOf(runs, names.length);
    assert.lengthOf(new Set(runs.map(({ key }) => key)), names.length);
    assert.lengthOf(new Set(runs.map((run) => run.id)), names.length);
  },

  "overlap skip leaves a slot out while the run before it is not finished": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ overlap: "skip" });
    await scheduler.start();
    await clock.to(first);
    await clock.to(first + DAY);
    assert.deepEqual(await slotsOf(job), [first]);
    assert.strictEqual((await scheduler.metrics()).dispatchSkipped, 1);
    await job.cancel({ id: (await runsOf(job))[0]!.id });
    await clock.to(first + 2 * DAY);
    assert.deepEqual(await slotsOf(job), [first, first + 2 * DAY]);
  },

  "overlap skip also looks at the last run that was asked for": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ overlap: "skip" });
    await scheduler.start();
    const id = await scheduler.triggerNow({ id: "s" });
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), []);
    await job.cancel({ id });
    await clock.to(first + DAY);
    assert.deepEqual(await slotsOf(job), [first + DAY]);
  },

  "overlap allow is the default: runs pile up": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    assert.strictEqual((await scheduler.get({ id: "s" }))?.overlap, "allow");
    await scheduler.start();
    await clock.to(first);
    await clock.to(first + DAY);
    assert.lengthOf(await slotsOf(job), 2);
  },

  "a paused schedule does not run; it goes on with the first slot after resume": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily({ misfire: "catch_up_all" });
    await scheduler.start();
    assert.isTrue(await scheduler.pause({ id: "s" }));
    assert.isTrue((await scheduler.get({ id: "s" }))?.paused);
    await clock.to(first + 2 * DAY + HOUR);
    assert.isTrue(await scheduler.resume({ id: "s" }));
    assert.include(await scheduler.get({ id: "s" }), { paused: false, nextRunAt: first + 3 * DAY });
    await clock.to(first + 3 * DAY);
    assert.deepEqual(await slotsOf(job), [first + 3 * DAY]);
  },

  "pause and resume of a schedule that is not there are false, and repeat without effect": async (world) => {
    const { scheduler, daily } = await scheduling(world);
    assert.isFalse(await scheduler.pause({ id: "none" }));
    assert.isFalse(await scheduler.resume({ id: "none" }));
    const first = await daily();
    assert.isTrue(await scheduler.resume({ id: "s" }));
    await scheduler.pause({ id: "s" });
    assert.isTrue(await scheduler.pause({ id: "s" }));
    await scheduler.resume({ id: "s" });
    assert.strictEqual(await nextRunAt(scheduler), first);
  },
});
