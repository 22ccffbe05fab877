import { assert } from "chai";
import { ONE_TAB, cases } from "./case.js";
import { eventually, rejectsWith, rejectsWithRange } from "./expectations.js";
import { aborted, gate, idleJob, reaches, recorder, textJob, typesOf } from "./working.js";

const DAY = 24 * 3_600_000;

/** stop, close, pause, and tabs that leave. */
export const jobStop = cases("job", {
  "stop takes nothing new, aborts the signal, and what ran is free when the handler leaves": async (world) => {
    const id = world.id();
    const begun = gate();
    const leave = gate();
    const reason = gate<unknown>();
    const job = textJob(
      world,
      async ({ ctx }) => {
        begun.open();
        reason.open(await aborted(ctx.signal));
        await leave.opened;
        return "too late";
      },
      { id },
    );
    const running = await job.submit({ input: "running" });
    const waiting = await job.submit({ input: "waiting" });
    await begun.opened;
    const stopping = job.stop();
    assert.include(await reason.opened, { code: "CLOSED" });
    assert.include(await job.get(running), { status: "running" });
    leave.open();
    assert.deepEqual(await stopping, { abandoned: 0 });
    const { status, failures, crashes } = (await job.get(running))!;
    assert.deepEqual([status, failures, crashes], ["submitted", 0, 0], "reference fault: the result counted");
    assert.include(await job.get(waiting), { status: "submitted" });
    assert.include(await job.stats(), { handlers: 0, workers: 0 });
    assert.deepEqual(await typesOf(job, running), ["submitted", "started"]);
    const other = textJob(world, ({ ctx, input }) => `${input} ${ctx.attempt}`, { id });
    await other.start();
    assert.strictEqual((await other.join({ id: running })).result, "running 1");
    assert.strictEqual((await other.join({ id: waiting })).result, "waiting 1");
  },

  "a handler that does not leave is abandoned after timeoutMs, and its job is free": async (world) => {
    const id = world.id();
    const leave = gate();
    const job = textJob(world, () => leave.opened.then(() => "too late"), { id });
    const submitted = await job.submit({ input: "a" });
    await reaches(job, submitted, "running");
    assert.deepEqual(await job.stop({ timeoutMs: 5 }), { abandoned: 1 });
    assert.include(await job.get(submitted), { status: "submitted", failures: 0, crashes: 0 });
    const other = textJob(world, () => "other", { id });
    await other.start();
    leave.open();
    assert.strictEqual((await other.join({ id: submitted })).result, "other");
    await rejectsWithRange(job.stop({ timeoutMs: -1 }));
  },

  "stop of what never began, and again, is nothing": async (world) => {
    const job = textJob(world, ({ input }) => input);
    assert.deepEqual(await job.stop(), { abandoned: 0 });
    await job.start();
    const [one, two] = await Promise.all([job.stop(), job.stop()]);
    assert.deepEqual([one, two], [{ abandoned: 0 }, { abandoned: 0 }]);
  },

  "nothing is taken after stop, also what was on its way": async (world) => {
    const { seen, process } = recorder();
    const id = world.id();
    const job = textJob(world, process, { id });
    await job.start();
    const producer = idleJob(world, { id });
    const stopping = job.stop();
    const submitted = await producer.submit({ input: "a" });
    await stopping;
    await producer.stats();
    assert.deepEqual(seen, []);
    assert.include(await producer.get(submitted), { status: "submitted", failures: 0, crashes: 0 });
  },

  "submit or start after stop begin again, once the old handler left": async (world) => {
    const leave = gate();
    let left = false;
    const job = textJob(
      world,
      async ({ ctx, input }) => {
        if (input === "second" || left) return left;
        await aborted(ctx.signal);
        await leave.opened;
        left = true;
        return left;
      },
      { concurrency: 2 },
    );
    const first = await job.submit({ input: "first" });
    await reaches(job, first, "running");
    const stopping = job.stop();
    const second = await job.submit({ input: "second" });
    await job.stats();
    assert.include(await job.get(second), { status: "submitted" }, "reference fault: a second loop started at once");
    leave.open();
    await stopping;
    assert.isTrue((await job.join({ id: second })).result);
    assert.isTrue((await job.join({ id: first })).result);
    await job.stop();
    await job.start();
    assert.include(await job.stats(), { workers: 1 });
  },

  "close is stop for good": async (world) => {
    const id = world.id();
    const left = gate<unknown>();
    const job = textJob(world, async ({ ctx }) => left.open(await aborted(ctx.signal)), { id });
    const submitted = await job.submit({ input: "a" });
    await reaches(job, submitted, "running");
    await job.close();
    assert.include(await left.opened, { code: "CLOSED" });
    await rejectsWith(job.submit({ input: "a" }), "CLOSED");
    const other = idleJob(world, { id });
    assert.include(await other.get(submitted), { status: "submitted", failures: 0, crashes: 0 });
  },

  "await using closes it": async (world) => {
    const job = textJob(world, ({ input }) => input);
    await job.start();
    await job[Symbol.asyncDispose]();
    await rejectsWith(job.stats(), "CLOSED");
  },

  "a paused job hands out nothing; what runs goes on": async (world) => {
    const go = gate();
    const job = textJob(world, async ({ input }) => {
      if (input === "running") await go.opened;
      return input;
    });
    const running = await job.submit({ input: "running" });
    await reaches(job, running, "running");
    await job.pause();
    const waiting = await job.submit({ input: "waiting" });
    go.open();
    assert.strictEqual((await job.join({ id: running })).result, "running");
    assert.include(await job.stats(), { paused: true, submitted: 1 });
    assert.include(await job.join({ id: waiting, timeoutMs: 0 }), { status: "timed_out" });
    await job.resume();
    assert.strictEqual((await job.join({ id: waiting })).result, "waiting");
    assert.include(await job.stats(), { paused: false });
  },

  "the jobs of a tab that leaves are free at once, uncounted": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const tab = world.tab();
      const there = textJob(tab, ({ ctx }) => aborted(ctx.signal).then(() => "there"), { id });
      const submitted = await there.submit({ input: "a", leaseMs: DAY });
      await reaches(there, submitted, "running");
      const here = textJob(world, ({ ctx }) => `here ${ctx.attempt}`, { id });
      await here.start();
      assert.include(await here.stats(), { handlers: 2 });
      await tab.backend.close();
      assert.include(await here.join({ id: submitted }), { status: "completed", result: "here 1" });
      assert.include(await here.get(submitted), { failures: 0, crashes: 0 });
      await eventually(async () => (await here.stats()).handlers === 1, "its handle is forgotten");
    },
  },

  "handles of several tabs share the work": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const by = new Set<string>();
      const handles = [world, world.tab()].map((at, i) =>
        textJob(
          at,
          async () => {
            by.add(String(i));
            // Long enough for the other to take the next one.
            await new Promise((resolve) => setTimeout(resolve, 5));
          },
          { id },
        ),
      );
      for (const handle of handles) await handle.start();
      const items = Array.from({ length: 10 }, (_, i) => ({ input: String(i) }));
      const submitted = await handles[0]!.submitMany(items);
      for (const { id: jobId } of submitted) await handles[0]!.join({ id: jobId });
      assert.deepEqual([...by].sort(), ["0", "1"]);
    },
  },
});
