import { assert } from "chai";
import { cases } from "./case.js";
import { eventually, rejection } from "./expectations.js";
import { aborted, eventsOf, failsWith, gate, reaches, textJob, typesOf } from "./working.js";

const HOUR = 3_600_000;

/** Signs of life, time limits, what ctx tells. */
export const jobLease = cases("job", {
  "no sign of life for leaseMs: the signal aborts and the attempt fails with TIMEOUT": async (world) => {
    const reason = gate<unknown>();
    const begun = gate();
    const job = textJob(
      world,
      async ({ ctx }) => {
        begun.open();
        reason.open(await aborted(ctx.signal));
      },
      { defaults: { leaseMs: 10_000 } },
    );
    const id = await job.submit({ input: "a" });
    await begun.opened;
    await world.advance(10_001);
    await failsWith(job, id, "TIMEOUT");
    assert.include(await reason.opened, { code: "TIMEOUT" });
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "failed"]);
  },

  "a timeout counts as a failure, and the next attempt follows": async (world) => {
    const begun = [gate(), gate()];
    const job = textJob(
      world,
      async ({ ctx }) => {
        begun[ctx.attempt - 1]!.open();
        if (ctx.attempt === 1) await aborted(ctx.signal);
        return ctx.attempt;
      },
      { defaults: { leaseMs: 10_000, maxAttempts: 2 } },
    );
    const id = await job.submit({ input: "a" });
    await begun[0]!.opened;
    await world.advance(10_001);
    await begun[1]!.opened;
    assert.include(await job.join({ id }), { status: "completed", result: 2 });
    assert.include(await job.get(id), { failures: 1 });
    const retry = (await eventsOf(job, id)).find(({ type }) => type === "retry");
    assert.deepInclude(retry!, { type: "retry", attempt: 1 });
  },

  "leaseMs is 30 s by default, and the submit's wins": async (world) => {
    const job = textJob(world, ({ ctx }) => aborted(ctx.signal).then(() => {}), { concurrency: 2 });
    const byDefault = await job.submit({ input: "a" });
    const short = await job.submit({ input: "a", leaseMs: 5000 });
    await reaches(job, byDefault, "running");
    await reaches(job, short, "running");
    await world.advance(6000);
    await failsWith(job, short, "TIMEOUT");
    await world.advance(20_000);
    assert.include(await job.get(byDefault), { status: "running" });
    await world.advance(5000);
    await failsWith(job, byDefault, "TIMEOUT");
  },

  "heartbeat, step and progress are signs of life": async (world) => {
    for (const sign of ["heartbeat", "step", "progress"] as const) {
      const go = gate();
      const shown = gate();
      const finish = gate();
      const job = textJob(
        world,
        async ({ ctx }) => {
          await go.opened;
          if (sign === "heartbeat") await ctx.heartbeat();
          else if (sign === "progress") await ctx.progress(1);
          else await ctx.step({ id: "s", run: () => 1 });
          shown.open();
          await finish.opened;
          return sign;
        },
        { defaults: { leaseMs: 10_000 } },
      );
      const id = await job.submit({ input: "a" });
      await reaches(job, id, "running");
      await world.advance(8000);
      go.open();
      await shown.opened;
      await world.advance(8000);
      finish.open();
      assert.include(await job.join({ id }), { status: "completed", result: sign }, sign);
    }
  },

  "heartbeat extends the time of the execution, by its own leaseMs if given": async (world) => {
    const beaten = gate();
    const finish = gate();
    const job = textJob(
      world,
      async ({ ctx }) => {
        await ctx.heartbeat({ leaseMs: HOUR });
        beaten.open();
        await finish.opened;
        return ctx.signal.aborted;
      },
      { defaults: { leaseMs: 10_000 } },
    );
    const id = await job.submit({ input: "a" });
    await beaten.opened;
    await world.advance(HOUR - 60_000);
    finish.open();
    assert.include(await job.join({ id }), { result: false }, "reference fault: the execution timed out all the same");
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "heartbeat", "completed"]);
  },

  "a heartbeat out of range is refused": async (world) => {
    const job = textJob(world, async ({ ctx }) => (await rejection(ctx.heartbeat({ leaseMs: 0 }))).name);
    assert.strictEqual((await job.join({ id: await job.submit({ input: "a" }) })).result, "RangeError");
  },

  "a heartbeat that finds the job lost aborts the signal, and the result does not count": async (world) => {
    const go = gate();
    const found = gate<{ error: string; aborted: boolean }>();
    const job = textJob(
      world,
      async ({ ctx }) => {
        if (ctx.attempt === 2) return "second";
        await go.opened;
        const error = await rejection(ctx.heartbeat());
        found.open({ error: error.name, aborted: ctx.signal.aborted });
        return "first";
      },
      { defaults: { leaseMs: 10_000, maxAttempts: 2, backoff: { kind: "fixed", baseMs: 60_000 } } },
    );
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "running");
    await world.advance(10_001);
    go.open();
    assert.deepEqual(await found.opened, { error: "AbortError", aborted: true });
    await world.advance(60_001);
    assert.include(await job.join({ id }), { result: "second" });
  },

  "what a handler says after its end says nothing": async (world) => {
    const late = gate<unknown>();
    const again = gate();
    const job = textJob(world, ({ ctx }) => {
      void again.opened.then(async () => {
        const errors = [ctx.heartbeat(), ctx.progress(1), ctx.log("late"), ctx.step({ id: "s", run: () => 1 })];
        late.open(await Promise.all(errors.map(async (told) => (await rejection(told)).name)));
      });
      return Promise.reject(new Error("no"));
    });
    const id = await job.submit({ input: "a" });
    await job.join({ id });
    again.open();
    assert.deepEqual(await late.opened, ["AbortError", "AbortError", "AbortError", "AbortError"]);
    assert.deepEqual(
      await typesOf(job, id),
      ["submitted", "started", "failed"],
      "reference fault: heartbeats after the end made events",
    );
  },

  "a heartbeat that nobody awaits never crashes the app": async (world) => {
    const job = textJob(world, async ({ ctx }) => {
      void ctx.heartbeat({ leaseMs: -1 });
      void ctx.progress(1n);
      await Promise.resolve();
      return "done";
    });
    assert.strictEqual((await job.join({ id: await job.submit({ input: "a" }) })).result, "done");
  },

  "timeoutMs bounds an attempt whatever it does": async (world) => {
    const reason = gate<unknown>();
    const job = textJob(
      world,
      async ({ ctx }) => {
        void aborted(ctx.signal).then((why) => reason.open(why));
        await ctx.heartbeat({ leaseMs: HOUR });
        await reason.opened;
      },
      { timeoutMs: 60_000 },
    );
    const id = await job.submit({ input: "a" });
    await eventually(async () => (await typesOf(job, id)).includes("heartbeat"), "a heartbeat");
    await world.advance(59_000);
    assert.include(await job.get(id), { status: "running" });
    await world.advance(1001);
    await failsWith(job, id, "TIMEOUT");
    assert.include(await reason.opened, { code: "TIMEOUT" });
  },

  "a handler that hangs does not keep the others from running": async (world) => {
    const never = new Promise<string>(() => {});
    const job = textJob(world, ({ input }) => (input === "hangs" ? never : input), { defaults: { leaseMs: 10_000 } });
    const hanging = await job.submit({ input: "hangs" });
    const next = await job.submit({ input: "next" });
    await reaches(job, hanging, "running");
    // The handle learns of the loss by a call that it makes soon after the start.
    await eventually(async () => (await job.stats()).waiters > 0, "it is watched");
    await world.advance(10_001);
    await failsWith(job, hanging, "TIMEOUT");
    assert.strictEqual((await job.join({ id: next })).result, "next");
    await job.stop({ timeoutMs: 0 });
  },

  "the signal does not abort on success, and does on failure": async (world) => {
    const signals: AbortSignal[] = [];
    const job = textJob(world, ({ ctx, input }) => {
      signals.push(ctx.signal);
      return input === "fails" ? Promise.reject(new Error("no")) : input;
    });
    await job.join({ id: await job.submit({ input: "succeeds" }) });
    await job.join({ id: await job.submit({ input: "fails" }) });
    assert.deepEqual(
      signals.map((signal) => signal.aborted),
      [false, true],
    );
  },

  "ctx says which job it is": async (world) => {
    const job = textJob(world, ({ ctx: { jobId, attempt, key, meta } }) => ({ jobId, attempt, key, meta }));
    const id = await job.submit({ input: "a", key: "k", meta: { by: ["me"] } });
    assert.deepEqual((await job.join({ id })).result, { jobId: id, attempt: 1, key: "k", meta: { by: ["me"] } });
    const bare = await job.submit({ input: "a" });
    assert.deepEqual((await job.join({ id: bare })).result, { jobId: bare, attempt: 1 } as never);
  },

  "methods may be taken off ctx": async (world) => {
    const job = textJob(world, async ({ ctx: { heartbeat, step, progress, log, sleep } }) => {
      await heartbeat();
      await progress({ done: 1 });
      await log("a line");
      await sleep(0);
      return step({ id: "s", run: () => "stepped" });
    });
    const id = await job.submit({ input: "a" });
    assert.strictEqual((await job.join({ id })).result, "stepped");
    assert.deepEqual(await typesOf(job, id), [
      "submitted",
      "started",
      "heartbeat",
      "progress",
      "log",
      "step",
      "completed",
    ]);
  },

  "progress and log are events, and the last progress stands": async (world) => {
    const job = textJob(world, async ({ ctx }) => {
      await ctx.progress({ part: 1 });
      await ctx.log("half way");
      await ctx.progress({ part: 2 });
    });
    const id = await job.submit({ input: "a" });
    await job.join({ id });
    const told = (await eventsOf(job, id)).filter(({ type }) => type === "progress" || type === "log");
    assert.deepEqual(told, [
      { type: "progress", jobId: id, value: { part: 1 } },
      { type: "log", jobId: id, text: "half way" },
      { type: "progress", jobId: id, value: { part: 2 } },
    ]);
    assert.deepEqual((await job.get(id))?.progress, { part: 2 });
  },
});
