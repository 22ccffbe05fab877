import { assert } from "chai";
import { cases } from "./case.js";
import { rejection } from "./expectations.js";
import { aborted, eventsOf, failsWith, gate, textJob, typesOf } from "./working.js";

/** Checkpoints. */
export const jobSteps = cases("job", {
  "a step gives its result, as JSON holds it": async (world) => {
    const job = textJob(world, async ({ ctx }) => {
      const at = await ctx.step({ id: "date", run: () => new Date(0) });
      const nothing = await ctx.step({ id: "nothing", run: async () => {} });
      return [at, typeof at, nothing === undefined];
    });
    const id = await job.submit({ input: "a" });
    assert.deepEqual((await job.join({ id })).result, ["1970-01-01T00:00:00.000Z", "string", true]);
    const steps = (await eventsOf(job, id)).filter(({ type }) => type === "step");
    assert.deepEqual(steps, [
      { type: "step", jobId: id, stepId: "date" },
      { type: "step", jobId: id, stepId: "nothing" },
    ]);
  },

  "a finished step is not run again by the next attempt": async (world) => {
    const ran: string[] = [];
    const job = textJob(
      world,
      async ({ ctx }) => {
        const one = await ctx.step({ id: "one", run: () => ran.push(`one in ${ctx.attempt}`) });
        const two = await ctx.step({
          id: "two",
          run: () => {
            ran.push(`two in ${ctx.attempt}`);
            if (ctx.attempt < 3) throw new Error("again");
            return "two";
          },
        });
        return { one, two };
      },
      { defaults: { maxAttempts: 3 } },
    );
    const id = await job.submit({ input: "a" });
    assert.deepEqual((await job.join({ id })).result, { one: 1, two: "two" });
    assert.deepEqual(ran, ["one in 1", "two in 1", "two in 2", "two in 3"]);
  },

  "a finished step is kept over a timeout": async (world) => {
    const ran: number[] = [];
    const stuck = gate();
    const job = textJob(
      world,
      async ({ ctx }) => {
        await ctx.step({ id: "one", run: () => ran.push(ctx.attempt) });
        if (ctx.attempt > 1) return "done";
        stuck.open();
        await aborted(ctx.signal);
        return "late";
      },
      { defaults: { maxAttempts: 2, leaseMs: 10_000 } },
    );
    const id = await job.submit({ input: "a" });
    await stuck.opened;
    assert.deepEqual((await job.get(id))?.steps, ["one"]);
    await world.advance(10_001);
    assert.strictEqual((await job.join({ id })).result, "done");
    assert.deepEqual(ran, [1]);
  },

  "what a step throws goes to the handler, and the step is not finished": async (world) => {
    const job = textJob(world, async ({ ctx }) => {
      const error = await rejection(ctx.step({ id: "one", run: () => Promise.reject(new Error("no")) }));
      return error.message;
    });
    const id = await job.submit({ input: "a" });
    assert.strictEqual((await job.join({ id })).result, "no");
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "completed"]);
  },

  "a step whose result JSON cannot hold is refused": async (world) => {
    const job = textJob(world, async ({ ctx }) => (await rejection(ctx.step({ id: "one", run: () => 1n }))).name);
    assert.strictEqual((await job.join({ id: await job.submit({ input: "a" }) })).result, "ValidationError");
  },

  "the same id twice in one attempt is an error": async (world) => {
    const job = textJob(world, async ({ ctx }) => {
      await ctx.step({ id: "one", run: () => 1 });
      await ctx.step({ id: "one", run: () => 2 });
    });
    await failsWith(job, await job.submit({ input: "a" }), "VALIDATION");
    const sleeps = textJob(world, async ({ ctx }) => {
      await ctx.sleep(0, { id: "nap" });
      await ctx.sleep(0, { id: "nap" });
    });
    await failsWith(sleeps, await sleeps.submit({ input: "a" }), "VALIDATION");
  },

  "another order of steps fails the job with NONDETERMINISTIC, whatever attempts are left": async (world) => {
    const job = textJob(
      world,
      async ({ ctx }) => {
        const order = ctx.attempt === 1 ? ["one", "two"] : ["two", "one"];
        for (const id of order) await ctx.step({ id, run: () => id });
        throw new Error("again");
      },
      { defaults: { maxAttempts: 5 } },
    );
    const id = await job.submit({ input: "a" });
    await failsWith(job, id, "NONDETERMINISTIC");
    assert.include(await job.get(id), { failures: 2 });
  },

  "a new step in front of finished ones fails with NONDETERMINISTIC, also when the handler hides it": async (world) => {
    const job = textJob(
      world,
      async ({ ctx }) => {
        if (ctx.attempt === 2) await rejection(ctx.step({ id: "zero", run: () => 0 }));
        await ctx.step({ id: "one", run: () => 1 }).catch(() => {});
        if (ctx.attempt === 1) throw new Error("again");
        return "hidden";
      },
      { defaults: { maxAttempts: 5 } },
    );
    await failsWith(job, await job.submit({ input: "a" }), "NONDETERMINISTIC");
  },

  "a sleep where a step was fails with NONDETERMINISTIC": async (world) => {
    const job = textJob(
      world,
      async ({ ctx }) => {
        if (ctx.attempt === 1) await ctx.step({ id: "one", run: () => 1 });
        else await ctx.sleep(1, { id: "one" });
        throw new Error("again");
      },
      { defaults: { maxAttempts: 3 } },
    );
    await failsWith(job, await job.submit({ input: "a" }), "NONDETERMINISTIC");
  },

  "steps side by side are each finished on their own": async (world) => {
    const ran: string[] = [];
    const job = textJob(
      world,
      async ({ ctx }) => {
        const run = (id: string, fails: boolean): Promise<string> =>
          ctx.step({
            id,
            run: () => {
              ran.push(`${id}${ctx.attempt}`);
              if (fails) throw new Error("again");
              return id;
            },
          });
        const both = await Promise.allSettled([run("slow", ctx.attempt === 1), run("quick", false)]);
        if (both[0].status === "rejected") throw both[0].reason as Error;
        return both.map((one) => (one.status === "fulfilled" ? one.value : ""));
      },
      { defaults: { maxAttempts: 2 } },
    );
    assert.deepEqual((await job.join({ id: await job.submit({ input: "a" }) })).result, ["slow", "quick"]);
    assert.deepEqual(ran, ["slow1", "quick1", "slow2"]);
  },

  "steps beyond those that are finished are new ones": async (world) => {
    const job = textJob(
      world,
      async ({ ctx }) => {
        const ids = ["one", "two", "three"].slice(0, ctx.attempt);
        for (const id of ids) await ctx.step({ id, run: () => id });
        if (ctx.attempt < 3) throw new Error("again");
        return ids;
      },
      { defaults: { maxAttempts: 3 } },
    );
    assert.deepEqual((await job.join({ id: await job.submit({ input: "a" }) })).result, ["one", "two", "three"]);
  },
});
