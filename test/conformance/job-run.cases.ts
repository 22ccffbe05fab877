import { assert } from "chai";
import { z } from "zod";
import { cases } from "./case.js";
import { eventually, rejection } from "./expectations.js";
import { aborted, eventsOf, failsWith, gate, idleJob, reaches, recorder, text, textJob, typesOf } from "./working.js";

const HOUR = 3_600_000;

/** Attempts, leases, time limits, slots, order. */
export const jobRun = cases("job", {
  "a failing handler fails the job, with the message and code of its error": async (world) => {
    const job = textJob(world, ({ input }): string => {
      // oxlint-disable-next-line typescript/only-throw-error -- apps do
      if (input === "text") throw "just a text";
      throw Object.assign(new Error("broken"), input === "code" ? { code: "E_BROKEN" } : {});
    });
    const outcome = await job.join({ id: await job.submit({ input: "plain" }) });
    assert.include(outcome, { status: "failed" });
    assert.deepEqual(outcome.error, { message: "broken" });
    assert.notProperty(outcome, "result");
    assert.deepEqual((await job.join({ id: await job.submit({ input: "text" }) })).error, { message: "just a text" });
    assert.strictEqual(await failsWith(job, await job.submit({ input: "code" }), "E_BROKEN"), "broken");
  },

  "a handler that throws at once fails like one that rejects": async (world) => {
    const job = textJob(world, ({ input }) => {
      if (input === "throws") throw new Error("now");
      return Promise.reject(new Error("later"));
    });
    assert.strictEqual((await job.join({ id: await job.submit({ input: "throws" }) })).error?.message, "now");
    assert.strictEqual((await job.join({ id: await job.submit({ input: "rejects" }) })).error?.message, "later");
  },

  "maxAttempts is 1 by default, of the handle or of the submit": async (world) => {
    const tried: string[] = [];
    const process = ({ input }: { input: string }): Promise<string> => {
      tried.push(input);
      return Promise.reject(new Error("no"));
    };
    const job = textJob(world, process);
    await job.join({ id: await job.submit({ input: "one" }) });
    const two = textJob(world, process, { defaults: { maxAttempts: 2 } });
    await two.join({ id: await two.submit({ input: "two" }) });
    await two.join({ id: await two.submit({ input: "three", maxAttempts: 3 }) });
    assert.deepEqual(tried, ["one", "two", "two", "three", "three", "three"]);
  },

  "attempt counts from 1, and the last error stands": async (world) => {
    const job = textJob(world, ({ ctx }) => Promise.reject(new Error(`attempt ${ctx.attempt}`)), {
      defaults: { maxAttempts: 3 },
    });
    const id = await job.submit({ input: "a" });
    assert.strictEqual((await job.join({ id })).error?.message, "attempt 3");
    assert.include(await job.get(id), { failures: 3, crashes: 0, maxAttempts: 3 });
    const events = await eventsOf(job, id);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["submitted", "started", "retry", "started", "retry", "started", "failed"],
    );
    assert.deepInclude(events[2]!, { attempt: 1, error: { message: "attempt 1" } });
    assert.deepInclude(events.at(-1)!, { attempt: 3, error: { message: "attempt 3" } });
  },

  "a fixed back-off waits the same time before every attempt": async (world) => {
    const job = textJob(world, () => Promise.reject(new Error("no")), {
      defaults: { maxAttempts: 3, backoff: { kind: "fixed", baseMs: 60_000, maxMs: 1 } },
    });
    const id = await job.submit({ input: "a" });
    for (const failures of [1, 2]) {
      await reaches(job, id, "retry");
      const { dueAt } = (await job.get(id))!;
      const retry = (await eventsOf(job, id)).findLast(({ type }) => type === "retry");
      assert.deepInclude(retry!, { type: "retry", attempt: failures, nextAt: dueAt });
      await world.advance(59_000);
      assert.include(await job.get(id), { status: "retry", failures });
      await world.advance(1001);
      await eventually(async () => (await job.get(id))!.failures > failures, "another attempt");
    }
    assert.strictEqual((await job.join({ id })).status, "failed");
  },

  "an exponential back-off doubles, up to maxMs": async (world) => {
    const job = textJob(world, () => Promise.reject(new Error("no")), {
      defaults: { maxAttempts: 5, backoff: { kind: "exp", baseMs: 10_000, maxMs: 30_000 } },
    });
    const id = await job.submit({ input: "a" });
    for (const [failures, delayMs] of [10_000, 20_000, 30_000, 30_000].entries()) {
      await eventually(async () => (await job.get(id))!.failures > failures, "an attempt");
      const reader = job.events(id).reader();
      for await (const { data, publishedAt } of reader.stream({ wait: false })) {
        if (data.type === "retry" && data.attempt > failures) assert.strictEqual(data.nextAt - publishedAt, delayMs);
      }
      await reader.close();
      await world.advance(delayMs + 1);
    }
    assert.strictEqual((await job.join({ id })).status, "failed");
  },

  "without back-off the next attempt comes at once": async (world) => {
    const job = textJob(world, ({ ctx }) => (ctx.attempt < 3 ? Promise.reject(new Error("no")) : ctx.attempt), {
      defaults: { maxAttempts: 3 },
    });
    assert.strictEqual((await job.join({ id: await job.submit({ input: "a" }) })).result, 3);
  },

  "jitter moves the pause by its fraction at most, and never beyond maxMs": async (world) => {
    const job = textJob(world, () => Promise.reject(new Error("no")), { concurrency: 20 });
    const pauses = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const backoff = { kind: "exp", baseMs: 10_000, maxMs: 11_000, jitter: 0.5 } as const;
      const id = await job.submit({ input: "a", maxAttempts: 2, backoff });
      await reaches(job, id, "retry");
      const reader = job.events(id).reader();
      for await (const { data, publishedAt } of reader.stream({ wait: false })) {
        if (data.type === "retry") pauses.add(data.nextAt - publishedAt);
      }
      await reader.close();
    }
    assert.isAbove(pauses.size, 5);
    for (const pause of pauses) assert.isTrue(pause >= 5000 && pause <= 11_000, `${pause}`);
  },

  "a back-off beyond 7 days works": async (world) => {
    const days10 = 10 * 24 * HOUR;
    const job = textJob(world, ({ ctx }) => (ctx.attempt === 1 ? Promise.reject(new Error("no")) : "done"), {
      defaults: { maxAttempts: 2, backoff: { kind: "fixed", baseMs: days10 } },
    });
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "retry");
    await world.advance(days10 - 1000);
    assert.include(await job.get(id), { status: "retry" });
    await world.advance(1001);
    assert.strictEqual((await job.join({ id })).result, "done");
  },

  "NonRetryableError fails at once": async (world) => {
    const job = textJob(world, () => Promise.reject(new world.entry.NonRetryableError("never")), {
      defaults: { maxAttempts: 5 },
    });
    const id = await job.submit({ input: "a" });
    assert.include((await job.join({ id })).error, { message: "never" });
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "failed"]);
  },

  "an input that does not fit the worker's schema fails like a handler's error": async (world) => {
    const id = world.id();
    const submitted = await idleJob(world, { id }).submit({ input: "a", maxAttempts: 2 });
    let handled = false;
    const strict = world.job({
      id,
      schema: z.string().min(3),
      process: () => {
        handled = true;
      },
    });
    await strict.start();
    await failsWith(strict, submitted, "VALIDATION");
    assert.include(await strict.get(submitted), { failures: 2 });
    assert.isFalse(handled);
  },

  "a result that JSON cannot hold fails with VALIDATION, once and for all": async (world) => {
    const job = world.job({
      id: world.id(),
      schema: text,
      defaults: { maxAttempts: 3 },
      process: ({ input }) => (input === "bigint" ? { n: 1n } : input === "cycle" ? cycle() : () => 1) as unknown,
    });
    for (const input of ["bigint", "cycle", "function"]) {
      const id = await job.submit({ input });
      await failsWith(job, id, "VALIDATION");
      assert.include(await job.get(id), { status: "failed", failures: 1 }, "reference fault: it stayed running");
    }
  },

  "a result is its JSON round trip": async (world) => {
    const job = textJob(world, () => ({ at: new Date(0), map: new Map([[1, 2]]), none: undefined, n: 1.5 }));
    const { result } = await job.join({ id: await job.submit({ input: "a" }) });
    assert.deepEqual(result, { at: "1970-01-01T00:00:00.000Z", map: {}, n: 1.5 } as never);
    const nothing = textJob(world, () => {});
    assert.notProperty(await nothing.join({ id: await nothing.submit({ input: "a" }) }), "error");
  },

  "a result that does not fit resultSchema fails with VALIDATION": async (world) => {
    const job = world.job({
      id: world.id(),
      schema: text,
      resultSchema: z.object({ n: z.number().max(5) }),
      process: ({ input }) => ({ n: Number(input) }),
    });
    assert.deepEqual((await job.join({ id: await job.submit({ input: "5" }) })).result, { n: 5 });
    await failsWith(job, await job.submit({ input: "6" }), "VALIDATION");
  },

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

  "a handle runs one job at a time by default": async (world) => {
    await mostAtOnce(world, {}, 1);
  },

  "concurrency is how many jobs a handle runs at a time": async (world) => {
    await mostAtOnce(world, { concurrency: 3 }, 3);
  },

  "globalConcurrency bounds all handles together": async (world) => {
    const id = world.id();
    const running = new Set<string>();
    let most = 0;
    const process = async ({ input }: { input: string }): Promise<void> => {
      running.add(input);
      most = Math.max(most, running.size);
      // Long enough for another to begin.
      await new Promise((resolve) => setTimeout(resolve, 2));
      running.delete(input);
    };
    const settings = { id, concurrency: 2, globalConcurrency: 3 };
    const handles = [textJob(world, process, settings), textJob(world, process, settings)];
    for (const handle of handles) await handle.start();
    const items = Array.from({ length: 12 }, (_, i) => ({ input: String(i) }));
    const submitted = await handles[0]!.submitMany(items);
    for (const { id: jobId } of submitted)
      assert.include(await handles[0]!.join({ id: jobId }), { status: "completed" });
    assert.strictEqual(most, 3);
  },

  "jobs of one ordering key run one at a time, in order of submission, also through retries": async (world) => {
    const seen: string[] = [];
    const active = new Set<string>();
    const job = textJob(
      world,
      async ({ ctx, input }) => {
        const key = input[0]!;
        assert.isFalse(active.has(key), `two of key ${key} at once`);
        active.add(key);
        seen.push(`${input}.${ctx.attempt}`);
        await Promise.resolve();
        active.delete(key);
        if (ctx.attempt === 1 && input.endsWith("1")) throw new Error("again");
      },
      { concurrency: 4, defaults: { maxAttempts: 2, backoff: { kind: "fixed", baseMs: 60_000 } } },
    );
    const items = ["a1", "a2", "b1", "b2"].map((input) => ({ input, orderingKey: input[0]! }));
    const submitted = await job.submitMany(items);
    const free = await job.submit({ input: "free" });
    await job.join({ id: free });
    await eventually(async () => (await job.stats()).retry === 2, "both keys wait for their first");
    assert.deepEqual([...seen].sort(), ["a1.1", "b1.1", "free.1"]);
    await world.advance(60_001);
    for (const { id } of submitted) assert.include(await job.join({ id }), { status: "completed" });
    for (const key of "ab") {
      assert.deepEqual(
        seen.filter((one) => one.startsWith(key)),
        [`${key}1.1`, `${key}1.2`, `${key}2.1`],
      );
    }
  },

  "a job of an ordering key that fails for good makes room for the next": async (world) => {
    const job = textJob(world, ({ input }) => (input === "bad" ? Promise.reject(new Error("no")) : input));
    const [bad, good] = await job.submitMany([
      { input: "bad", orderingKey: "k" },
      { input: "good", orderingKey: "k" },
    ]);
    assert.strictEqual((await job.join({ id: good!.id })).result, "good");
    assert.strictEqual((await job.join({ id: bad!.id })).status, "failed");
  },

  "priority 0 goes first, and what waits rises by one every 30 s": async (world) => {
    const id = world.id();
    const { seen, process } = recorder();
    const producer = idleJob(world, { id });
    await producer.submitMany([
      { input: "9", priority: 9 },
      { input: "5" },
      { input: "0", priority: 0 },
      { input: "5 again" },
    ]);
    await world.advance(4 * 30_000 + 1);
    // By now the 9 counts as a 5, and the 5s as 1s.
    await producer.submit({ input: "late 6", priority: 6 });
    const last = await producer.submit({ input: "late 2", priority: 2 });
    const worker = textJob(world, process, { id });
    await worker.start();
    await worker.join({ id: last });
    await eventually(() => seen.length === 6, "all ran");
    assert.deepEqual(seen, ["0", "5", "5 again", "late 2", "9", "late 6"]);
  },

  "jobs run in order of submission": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const inputs = Array.from({ length: 50 }, (_, i) => String(i));
    const submitted = await job.submitMany(inputs.map((input) => ({ input })));
    await job.join({ id: submitted.at(-1)!.id });
    assert.deepEqual(seen, inputs);
  },
});

function cycle(): object {
  const object: Record<string, unknown> = {};
  object["self"] = object;
  return object;
}

async function mostAtOnce(
  world: Parameters<typeof textJob>[0],
  settings: { concurrency?: number },
  wanted: number,
): Promise<void> {
  let running = 0;
  let most = 0;
  const job = textJob(
    world,
    async () => {
      most = Math.max(most, ++running);
      // Long enough for another to begin.
      await new Promise((resolve) => setTimeout(resolve, 2));
      running--;
    },
    settings,
  );
  const submitted = await job.submitMany(Array.from({ length: 10 }, (_, i) => ({ input: String(i) })));
  for (const { id } of submitted) assert.include(await job.join({ id }), { status: "completed" });
  assert.strictEqual(most, wanted);
}
