import { assert } from "chai";
import { z } from "zod";
import { cases } from "./case.js";
import { eventually } from "./expectations.js";
import { eventsOf, failsWith, idleJob, reaches, text, textJob, typesOf } from "./working.js";

const HOUR = 3_600_000;

/** Attempts, back-off, results. */
export const jobAttempts = cases("job", {
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
});

function cycle(): object {
  const object: Record<string, unknown> = {};
  object["self"] = object;
  return object;
}
