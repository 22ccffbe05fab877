import { assert } from "chai";
import { ONE_TAB, cases } from "./case.js";
import { eventually, rejection } from "./expectations.js";
import { aborted, eventsOf, failsWith, gate, reaches, textJob, typesOf } from "./working.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Sleep, short and long. */
export const jobSleep = cases("job", {
  "a long sleep parks the job: lease and slot are free": async (world) => {
    const job = textJob(
      world,
      async ({ ctx, input }) => {
        if (input === "sleeps") await ctx.sleep(HOUR);
        return input;
      },
      { globalConcurrency: 1, defaults: { leaseMs: 10_000 } },
    );
    const id = await job.submit({ input: "sleeps" });
    await reaches(job, id, "parked");
    assert.include(await job.stats(), { running: 0, parked: 1 });
    assert.strictEqual((await job.join({ id: await job.submit({ input: "other" }) })).result, "other");
    await world.advance(HOUR - 60_000);
    assert.include(await job.get(id), { status: "parked", failures: 0 });
    await world.advance(60_001);
    assert.include(await job.join({ id }), { status: "completed", result: "sleeps" });
    assert.include(await job.get(id), { failures: 0, crashes: 0 });
  },

  "the same process goes on where it slept": async (world) => {
    let begun = 0;
    const job = textJob(world, async ({ ctx }) => {
      const own = ++begun;
      await ctx.sleep(HOUR);
      await ctx.step({ id: "after", run: () => own });
      return { own, attempt: ctx.attempt, aborted: ctx.signal.aborted };
    });
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "parked");
    await world.advance(HOUR + 1);
    assert.deepEqual((await job.join({ id })).result, { own: 1, attempt: 1, aborted: false });
    assert.strictEqual(begun, 1);
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "parked", "started", "step", "completed"]);
  },

  "a sleep is told with its end": async (world) => {
    const job = textJob(world, ({ ctx }) => ctx.sleep(HOUR));
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "parked");
    const parked = (await eventsOf(job, id)).find(({ type }) => type === "parked");
    assert.deepInclude(parked!, { untilAt: (await job.get(id))!.dueAt });
  },

  "a sleep beyond 2^31−1 ms does not end at once": async (world) => {
    const job = textJob(world, ({ ctx }) => ctx.sleep(2 ** 32), { retentionMs: 365 * DAY });
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "parked");
    await world.advance(2 ** 31);
    assert.include(await job.get(id), { status: "parked" });
    await world.advance(2 ** 31 + 1);
    assert.strictEqual((await job.join({ id })).status, "completed");
  },

  "a short sleep waits with its lease and slot, by the hub's clock": async (world) => {
    const job = textJob(
      world,
      async ({ ctx, input }) => {
        if (input === "sleeps") await ctx.sleep(5000);
        return input;
      },
      { defaults: { leaseMs: 1000 } },
    );
    const id = await job.submit({ input: "sleeps" });
    const next = await job.submit({ input: "next" });
    await eventually(async () => (await job.get(id))!.steps.length === 1, "it sleeps");
    assert.include(await job.stats(), { running: 1, submitted: 1, parked: 0 });
    await world.advance(5001);
    assert.strictEqual((await job.join({ id })).result, "sleeps");
    assert.strictEqual((await job.join({ id: next })).result, "next");
  },

  "a sleep that is over is not slept again, short or long": async (world) => {
    for (const ms of [4000, HOUR]) {
      const job = textJob(
        world,
        async ({ ctx }) => {
          await ctx.sleep(ms);
          if (ctx.attempt === 1) throw new Error("again");
          return ctx.attempt;
        },
        { defaults: { maxAttempts: 2 } },
      );
      const id = await job.submit({ input: "a" });
      await eventually(async () => (await job.get(id))!.steps.length === 1, "it sleeps");
      await world.advance(ms + 1);
      assert.include(await job.join({ id }), { status: "completed", result: 2 });
    }
  },

  "a sleep of no time is over at once": async (world) => {
    const job = textJob(world, async ({ ctx }) => {
      await ctx.sleep(0);
      const errors = [ctx.sleep(-1), ctx.sleep(0.5)].map(async (slept) => (await rejection(slept)).name);
      return Promise.all(errors);
    });
    const outcome = await job.join({ id: await job.submit({ input: "a" }) });
    assert.deepEqual(outcome.result, ["RangeError", "RangeError"]);
  },

  "a handler that does not wait for its sleep may finish": async (world) => {
    const job = textJob(world, async ({ ctx }) => Promise.race([ctx.sleep(HOUR), Promise.resolve("first")]));
    const id = await job.submit({ input: "a" });
    assert.include(await job.join({ id }), { status: "completed", result: "first" });
    assert.strictEqual((await job.join({ id: await job.submit({ input: "b" }) })).result, "first");
  },

  "time asleep is left out of timeoutMs": async (world) => {
    const awake = gate();
    const job = textJob(
      world,
      async ({ ctx }) => {
        await ctx.sleep(HOUR);
        awake.open();
        await aborted(ctx.signal);
      },
      { timeoutMs: 60_000, defaults: { leaseMs: DAY } },
    );
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "parked");
    await world.advance(HOUR + 1);
    await awake.opened;
    assert.include(await job.get(id), { status: "running" });
    await world.advance(60_001);
    await failsWith(job, id, "TIMEOUT");
  },

  "a paused job does not wake sleepers": async (world) => {
    const job = textJob(world, ({ ctx }) => ctx.sleep(HOUR));
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "parked");
    await job.pause();
    await world.advance(HOUR + 1);
    const { status } = (await job.get(id))!;
    assert.include(["parked", "submitted"], status);
    await job.resume();
    assert.strictEqual((await job.join({ id })).status, "completed");
  },

  "a sleeper that is cancelled wakes with an AbortError": async (world) => {
    const woken = gate<string>();
    const job = textJob(world, async ({ ctx }) => {
      const error = await rejection(ctx.sleep(HOUR));
      woken.open(error.name);
      throw error;
    });
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "parked");
    assert.isTrue(await job.cancel({ id, reason: "enough" }));
    assert.strictEqual(await woken.opened, "AbortError");
    assert.include(await job.join({ id }), { status: "cancelled" });
  },

  "a sleeper whose handle stopped runs from the top elsewhere, its steps skipped": async (world) => {
    const id = world.id();
    const ran: string[] = [];
    const process =
      (name: string) =>
      async ({ ctx }: { ctx: Parameters<Parameters<typeof textJob>[1]>[0]["ctx"] }): Promise<string> => {
        await ctx.step({ id: "before", run: () => ran.push(`before in ${name}`) });
        await ctx.sleep(HOUR);
        await ctx.step({ id: "after", run: () => ran.push(`after in ${name}`) });
        return name;
      };
    const one = textJob(world, process("one"), { id });
    const submitted = await one.submit({ input: "a" });
    await reaches(one, submitted, "parked");
    assert.deepEqual(await one.stop(), { abandoned: 0 });
    const two = textJob(world, process("two"), { id });
    await two.start();
    assert.include(await two.get(submitted), { status: "parked" });
    await world.advance(HOUR + 1);
    assert.include(await two.join({ id: submitted }), { status: "completed", result: "two" });
    assert.deepEqual(ran, ["before in one", "after in two"]);
    assert.include(await two.get(submitted), { failures: 0, crashes: 0 });
  },

  "a sleeper whose handle is busy is taken over, and its handler told": async (world) => {
    const id = world.id();
    const told = gate<string>();
    const block = gate();
    const one = textJob(
      world,
      async ({ ctx, input }) => {
        if (input === "blocks") return block.opened.then(() => "one");
        const error = await rejection(ctx.sleep(HOUR));
        told.open(error.name);
        throw error;
      },
      { id, defaults: { leaseMs: DAY } },
    );
    const sleeping = await one.submit({ input: "sleeps" });
    await reaches(one, sleeping, "parked");
    const blocking = await one.submit({ input: "blocks" });
    await reaches(one, blocking, "running");
    const two = textJob(
      world,
      async ({ ctx }) => {
        await ctx.sleep(HOUR);
        return "two";
      },
      { id },
    );
    await two.start();
    await world.advance(HOUR + 1);
    // Its own handle comes first, for a second.
    await world.advance(2000);
    assert.include(await two.join({ id: sleeping }), { status: "completed", result: "two" });
    assert.strictEqual(await told.opened, "AbortError");
    block.open();
    assert.strictEqual((await one.join({ id: blocking })).result, "one");
  },

  "a sleeper goes on in another tab when its own has left": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const ran: string[] = [];
      const tab = world.tab();
      const open = (name: string, at: typeof world) =>
        textJob(
          at,
          async ({ ctx }) => {
            await ctx.step({ id: "before", run: () => ran.push(name) });
            await ctx.sleep(HOUR);
            return name;
          },
          { id },
        );
      const there = open("there", tab);
      const submitted = await there.submit({ input: "a" });
      await reaches(there, submitted, "parked");
      await tab.backend.close();
      const here = open("here", world);
      await here.start();
      await world.advance(HOUR + 1);
      assert.include(await here.join({ id: submitted }), { status: "completed", result: "here" });
      assert.deepEqual(ran, ["there"]);
    },
  },
});
