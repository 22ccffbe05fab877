import { assert } from "chai";
import { z } from "zod";
import type { ValidationError } from "../../src/memory.js";
import { type Case, cases } from "./case.js";
import { rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";
import { DAY, HOUR, nextRunAt, producer, runsOf, scheduling, slotsOf } from "./scheduling.js";

const input = { what: "s" };

/** Registering, looking, removing; identity and the ends of handles. */
export const schedulerRegister: Case[] = cases("scheduler", {
  "register says whether it made or changed a schedule": async (world) => {
    const { clock, scheduler, job } = await scheduling(world);
    const schedule = { id: "s", cron: clock.daily(), job, input };
    assert.deepEqual(await scheduler.register(schedule), { created: true, updated: false });
    assert.deepEqual(await scheduler.register(schedule), { created: false, updated: true });
  },

  "get tells everything about a schedule, null when there is none": async (world) => {
    const { clock, jobId, scheduler, job } = await scheduling(world);
    const cron = clock.daily();
    await scheduler.register({ id: "s", cron, tz: "Europe/Berlin", job, input, misfire: "catch_up_all" });
    const info = (await scheduler.get({ id: "s" }))!;
    assert.approximately(info.createdAt, clock.now(), 60_000);
    assert.deepEqual(info, {
      id: "s",
      cron,
      tz: "Europe/Berlin",
      misfire: "catch_up_all",
      maxCatchUpRuns: 100,
      overlap: "allow",
      jobId,
      nextRunAt: info.nextRunAt,
      lastRunAt: null,
      paused: false,
      createdAt: info.createdAt,
      updatedAt: info.createdAt,
    });
    assert.isAbove(info.nextRunAt, info.createdAt);
    assert.isNull(await scheduler.get({ id: "none" }));
  },

  "lastRunAt is the slot that was submitted last": async (world) => {
    const { clock, scheduler, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await clock.to(first);
    assert.include(await scheduler.get({ id: "s" }), { lastRunAt: first, nextRunAt: first + DAY });
  },

  "registering again keeps nextRunAt iff cron and zone are the same, and createdAt always": async (world) => {
    const { clock, scheduler, job } = await scheduling(world);
    const schedule = { id: "s", cron: clock.daily(), job, input };
    await scheduler.register(schedule);
    const before = (await scheduler.get({ id: "s" }))!;
    await clock.to(before.nextRunAt + HOUR);
    await scheduler.register({ ...schedule, misfire: "catch_up_one", meta: { a: 1 } });
    const same = (await scheduler.get({ id: "s" }))!;
    assert.include(same, { nextRunAt: before.nextRunAt, createdAt: before.createdAt, misfire: "catch_up_one" });
    assert.isAbove(same.updatedAt, before.updatedAt);
    await scheduler.register({ ...schedule, tz: "Etc/UTC" });
    assert.strictEqual(await nextRunAt(scheduler), before.nextRunAt + DAY, "another zone, from now on");
    await scheduler.register({ ...schedule, cron: clock.daily(2 * HOUR) });
    assert.isBelow(await nextRunAt(scheduler), clock.now() + 3 * HOUR, "another expression, from now on");
    assert.strictEqual((await scheduler.get({ id: "s" }))?.createdAt, before.createdAt);
  },

  "tz defaults to UTC, and another zone's clock counts": async (world) => {
    const { scheduler, job } = await scheduling(world);
    await scheduler.register({ id: "utc", cron: "0 5 * * *", job, input });
    await scheduler.register({ id: "kathmandu", cron: "0 5 * * *", tz: "Asia/Kathmandu", job, input });
    assert.strictEqual(new Date(await nextRunAt(scheduler, "utc")).toISOString().slice(11, 16), "05:00");
    assert.strictEqual(new Date(await nextRunAt(scheduler, "kathmandu")).toISOString().slice(11, 16), "23:15");
  },

  "list is in the order of code points": async (world) => {
    const { clock, scheduler, job } = await scheduling(world);
    const ids = ["a", "B", "\u{1F600}", "\uFF5E", "ab", "ä", "10", "9"];
    for (const id of ids) await scheduler.register({ id, cron: clock.daily(), job, input });
    assert.deepEqual(
      (await scheduler.list()).map(({ id }) => id),
      ["10", "9", "B", "a", "ab", "ä", "\uFF5E", "\u{1F600}"],
    );
    assert.include(await scheduler.stats(), { schedules: ids.length });
  },

  "unregister removes a schedule; of one that is not there it is false": async (world) => {
    const { clock, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    assert.isTrue(await scheduler.unregister({ id: "s" }));
    assert.isFalse(await scheduler.unregister({ id: "s" }));
    assert.isNull(await scheduler.get({ id: "s" }));
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), []);
    assert.deepEqual(await scheduler.list(), []);
  },

  "a schedule that is removed and made again begins anew": async (world) => {
    const { clock, scheduler, daily } = await scheduling(world);
    const first = await daily();
    await scheduler.start();
    await clock.to(first);
    await scheduler.unregister({ id: "s" });
    await daily();
    const info = (await scheduler.get({ id: "s" }))!;
    assert.isNull(info.lastRunAt);
    assert.isAbove(info.createdAt, first);
  },

  ...Object.fromEntries(
    [
      "* * * *",
      "0 * * * * *",
      "0 0 L * *",
      "0 0 * * 1#2",
      "0 0 15W * *",
      "0 0 ? * 1",
      "@reboot",
      "-5 * * * *",
      "0x10 * * * *",
      "1e1 * * * *",
      "1-2-3 * * * *",
      "*/2/3 * * * *",
      "/5 * * * *",
      "5/10 * * * *",
      "30-10 * * * *",
      "60 * * * *",
      "0 0 30 2 *",
      "",
    ].map((cron) => [
      `refused as an expression: "${cron}"`,
      async (world) => {
        const { scheduler, job } = await scheduling(world);
        await rejectsWith(scheduler.register({ id: "s", cron, job, input }), "VALIDATION");
        await rejectsWith(scheduler.preview({ cron }), "VALIDATION");
        assert.isNull(await scheduler.get({ id: "s" }));
      },
    ]),
  ),

  ...Object.fromEntries(
    [
      "@hourly",
      "@daily",
      "@midnight",
      "@weekly",
      "@monthly",
      "@yearly",
      "@annually",
      "0 9-17/2 1,15 jan-mar mon-fri",
    ].map((cron) => [
      `accepted as an expression: "${cron}"`,
      async (world) => {
        const { clock, scheduler, job } = await scheduling(world);
        await scheduler.register({ id: "s", cron, job, input });
        assert.isAbove(await nextRunAt(scheduler), clock.now() - 1000);
      },
    ]),
  ),

  "an unknown zone is refused": async (world) => {
    const { scheduler, job } = await scheduling(world);
    await rejectsWith(scheduler.register({ id: "s", cron: "@daily", tz: "Mars/Olympus", job, input }), "VALIDATION");
    await rejectsWith(scheduler.preview({ cron: "@daily", tz: "" }), "VALIDATION");
  },

  "zone, input and expression are checked in this order, before anything is stored": async (world) => {
    const { scheduler, job } = await scheduling(world);
    const wrong = { id: "s", cron: "nonsense", tz: "Mars/Olympus", job, input: { what: 1 } as never };
    const path = async (schedule: typeof wrong): Promise<unknown> => {
      const error = await rejectsWith<ValidationError>(scheduler.register(schedule), "VALIDATION");
      return error.issues[0]?.path?.[0];
    };
    assert.strictEqual(await path(wrong), "tz");
    assert.strictEqual(await path({ ...wrong, tz: "UTC" }), "what");
    assert.strictEqual(await path({ ...wrong, tz: "UTC", input: input as never }), "cron");
    assert.deepEqual(await scheduler.list(), []);
  },

  "a job that was not made by job(), or lives elsewhere, is refused": async (world) => {
    const { scheduler } = await scheduling(world);
    const fake = { validateInput() {} };
    await rejectsWith(
      scheduler.register({ id: "s", cron: "@daily", job: fake, input: undefined as never }),
      "VALIDATION",
    );
    const elsewhere = producer(world.fresh());
    await rejectsWith(scheduler.register({ id: "s", cron: "@daily", job: elsewhere, input }), "VALIDATION");
  },

  "an asynchronous schema checks the input, and calls stay in order": async (world) => {
    const { clock, scheduler } = await scheduling(world);
    const schema = z.object({ what: z.string().refine(async (text) => text !== "bad") });
    const job = world.job({ id: world.id(), schema, process: () => {}, worker: false });
    await rejectsWith(scheduler.register({ id: "s", cron: "@daily", job, input: { what: "bad" } }), "VALIDATION");
    const registered = scheduler.register({ id: "s", cron: clock.daily(), job, input });
    const [, info] = await Promise.all([registered, scheduler.get({ id: "s" })]);
    assert.strictEqual(info?.id, "s");
  },

  "options out of range are refused": async (world) => {
    const id = world.id();
    for (const dispatch of [
      { tickMs: 0 },
      { batchSize: 0 },
      { batchSize: NaN },
      { maxSubmitsPerTick: 0 },
      { submitRetries: -1 },
      { submitBackoffBaseMs: -1 },
      { submitBackoffMaxMs: 0.5 },
      { scheduledJobKeyTtlMs: 0 },
      { dlqMaxEntries: Infinity },
      { maxConsecutiveDispatchFailures: 0 },
    ]) {
      throwsRange(() => world.scheduler({ id, dispatch }));
    }
    for (const leader of [{ leaseMs: 0 }, { heartbeatMs: 0 }, { leaseMs: 900, heartbeatMs: 500 }]) {
      throwsRange(() => world.scheduler({ id, leader }));
    }
    world.scheduler({ id, leader: { leaseMs: 900 } });
    throwsRange(() => world.scheduler({ id, graceMs: -1 }));
    throwsWith(() => world.scheduler({ id: "" }), "VALIDATION");
  },

  "schedules out of range are refused": async (world) => {
    const { scheduler, job } = await scheduling(world);
    const schedule = { id: "s", cron: "@daily", job, input };
    await rejectsWithRange(scheduler.register({ ...schedule, maxCatchUpRuns: 0 }));
    await rejectsWithRange(scheduler.register({ ...schedule, maxCatchUpRuns: 1.5 }));
    await rejectsWith(scheduler.register({ ...schedule, id: "" }), "VALIDATION");
    await rejectsWith(scheduler.register({ ...schedule, misfire: "never" as "skip" }), "VALIDATION");
    await rejectsWith(scheduler.register({ ...schedule, overlap: "maybe" as "skip" }), "VALIDATION");
    await rejectsWith(scheduler.register({ ...schedule, meta: "text" as never }), "VALIDATION");
    await rejectsWith(scheduler.register({ ...schedule, meta: [] as never }), "VALIDATION");
    assert.deepEqual(await scheduler.list(), []);
  },

  "a scheduled run carries the slot, the names, and the schedule's meta as it was given": async (world) => {
    const { clock, id, scheduler, job, daily } = await scheduling(world);
    const meta = { list: [], big: 9007199254740991, nested: { empty: {}, quote: '"}' }, scheduleId: "mine" };
    const first = await daily({ meta });
    meta.nested.quote = "changed later";
    await scheduler.start();
    await clock.to(first);
    const [run] = await runsOf(job);
    assert.deepEqual(run?.meta, {
      list: [],
      big: 9007199254740991,
      nested: { empty: {}, quote: '"}' },
      scheduleId: "s",
      scheduleSlotTs: first,
      schedulerId: id,
    } as never);
    assert.deepEqual(run?.input, { what: "s" });
    assert.match(run!.id, /^[0-9A-Z]{26}$/);
    assert.strictEqual(run?.status, "submitted");
  },

  "a scheduled run has the settings of the job's handle": async (world) => {
    const { clock, scheduler } = await scheduling(world);
    const schema = z.object({ what: z.string() });
    const defaults = { maxAttempts: 7 };
    const job = world.job({ id: world.id(), schema, process: () => {}, worker: false, defaults });
    await scheduler.register({ id: "s", cron: clock.daily(), job, input });
    await scheduler.start();
    await clock.to(await nextRunAt(scheduler));
    assert.strictEqual((await runsOf(job as never))[0]?.maxAttempts, 7);
  },

  "handles with the same identity share all state; another prefix, tenant or id is another scheduler": async (
    world,
  ) => {
    const { id, scheduler, daily } = await scheduling(world);
    await daily();
    assert.lengthOf(await world.scheduler({ id }).list(), 1);
    assert.lengthOf(await world.scheduler({ id, tenantId: "default" }).list(), 1);
    assert.lengthOf(await world.scheduler({ id, prefix: "p" }).list(), 0);
    assert.lengthOf(await world.scheduler({ id, tenantId: "t" }).list(), 0);
    assert.lengthOf(await world.scheduler({ id: `${id}x` }).list(), 0);
    assert.lengthOf(await scheduler.list(), 1);
  },

  "limits belong to the scheduler: a later handle's count for all": async (world) => {
    const { clock, id, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    await world.scheduler({ id, graceMs: 2 * HOUR }).list();
    await scheduler.start();
    await clock.to(first + HOUR);
    assert.deepEqual(await slotsOf(job), [first]);
  },

  "closing a handle stops it, ends its calls, and leaves others and the schedules alone": async (world) => {
    const { clock, id, scheduler, job, daily } = await scheduling(world);
    const first = await daily();
    const other = world.scheduler({ id });
    await Promise.all([scheduler.start(), other.start()]);
    await Promise.all([scheduler.close(), scheduler.close()]);
    await scheduler.stop();
    await rejectsWith(scheduler.list(), "CLOSED");
    await rejectsWith(scheduler.start(), "CLOSED");
    await rejectsWith(scheduler.register({ id: "s", cron: "@daily", job, input }), "CLOSED");
    assert.include(await other.stats(), { started: 1, schedules: 1 });
    await job.start();
    await clock.to(first);
    assert.deepEqual(await slotsOf(job), [first]);
    await other[Symbol.asyncDispose]();
  },

  "a handle that was never used can be closed": async (world) => {
    await world.scheduler({ id: world.id() }).close();
  },
});
