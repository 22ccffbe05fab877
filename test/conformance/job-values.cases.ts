import { assert } from "chai";
import { z } from "zod";
import type { PayloadTooLargeError, ValidationError } from "../../src/memory.js";
import { ONE_TAB, cases } from "./case.js";
import { eventually, rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";
import { eventsOf, gate, idleJob, recorder, text, textJob } from "./working.js";

/** Inputs, ranges, sizes; handles that only submit. */
export const jobValues = cases("job", {
  "an input that does not fit is refused before anything happens": async (world) => {
    const job = world.job({ id: world.id(), schema: z.object({ n: z.number() }), process: () => 1 });
    const error = await rejectsWith<ValidationError>(
      job.submit({ input: { n: "1" as never }, key: "k" }),
      "VALIDATION",
    );
    assert.instanceOf(error, world.entry.ValidationError);
    assert.deepEqual(error.issues[0]?.path, ["n"]);
    const { submitted, keys, workers } = await job.stats();
    assert.deepEqual({ submitted, keys, workers }, { submitted: 0, keys: 0, workers: 0 });
  },

  "an input is parsed once for the submit and once for the run": async (world) => {
    let parsed = 0;
    const schema = z.string().transform((given) => {
      parsed++;
      return given.length;
    });
    const job = world.job({ id: world.id(), schema, process: ({ input }) => input + 1 });
    const outcome = await job.join({ id: await job.submit({ input: "abc" }) });
    assert.strictEqual(outcome.result, 4, "reference fault: a transform ran twice");
    assert.strictEqual(parsed, 2);
  },

  "what JSON cannot hold is refused": async (world) => {
    const job = world.job({ id: world.id(), schema: z.any(), process: () => 1 });
    for (const input of [1n, () => 1, Symbol("s")]) await rejectsWith(job.submit({ input }), "VALIDATION");
    await rejectsWith(job.submit({ input: 1, meta: 1n }), "VALIDATION");
    assert.strictEqual((await job.stats()).submitted, 0);
  },

  "undefined is an input": async (world) => {
    const job = world.job({ id: world.id(), schema: z.undefined(), process: ({ input }) => [input === undefined] });
    assert.deepEqual((await job.join({ id: await job.submit({ input: undefined }) })).result, [true]);
  },

  "an input over 128 KiB is refused, and its key is free": async (world) => {
    const job = idleJob(world);
    const error = await rejectsWith<PayloadTooLargeError>(
      job.submit({ input: "x".repeat(131_071), key: "k" }),
      "PAYLOAD_TOO_LARGE",
    );
    assert.include(error, { limitBytes: 131_072, actualBytes: 131_073 });
    await rejectsWith(job.submit({ input: "x".repeat(131_000), meta: "y".repeat(100) }), "PAYLOAD_TOO_LARGE");
    assert.strictEqual((await job.stats()).keys, 0, "reference fault: the key was claimed already");
    await job.submit({ input: "x".repeat(131_070), key: "k" });
  },

  "numbers out of range are refused before anything happens": async (world) => {
    const job = idleJob(world);
    const bad: object[] = [
      { delayMs: -1 },
      { delayMs: 0.5 },
      { delayMs: Number.NaN },
      { at: -1 },
      { at: 1.5 },
      { keyTtlMs: 0 },
      { maxAttempts: 0 },
      { maxAttempts: 1.5 },
      { leaseMs: 0 },
      { priority: -1 },
      { priority: 10 },
      { backoff: { kind: "fixed", baseMs: -1 } },
      { backoff: { kind: "exp", baseMs: 1, maxMs: 0.5 } },
      { backoff: { kind: "exp", baseMs: 1, jitter: 2 } },
    ];
    for (const options of bad) await rejectsWithRange(job.submit({ input: "a", key: "k", ...options }));
    await rejectsWith(job.submit({ input: "a", backoff: { kind: "linear" as never, baseMs: 1 } }), "VALIDATION");
    const { submitted, keys } = await job.stats();
    assert.deepEqual([submitted, keys], [0, 0]);
  },

  "settings of the handle out of range throw": async (world) => {
    const bad: object[] = [
      { concurrency: 0 },
      { globalConcurrency: 0 },
      { maxCrashes: -1 },
      { timeoutMs: 0 },
      { retentionMs: 0 },
      { retentionCount: -1 },
      { defaults: { maxAttempts: 0 } },
      { defaults: { leaseMs: 0.5 } },
      { defaults: { keyTtlMs: 0 } },
      { defaults: { backoff: { kind: "fixed", baseMs: Number.POSITIVE_INFINITY } } },
    ];
    for (const settings of bad) throwsRange(() => idleJob(world, settings));
    throwsWith(() => idleJob(world, { id: "" }), "VALIDATION");
    throwsWith(() => idleJob(world, { tenantId: "x".repeat(257) }), "VALIDATION");
    await rejectsWith(idleJob(world).submit({ input: "a", tenantId: "" }), "VALIDATION");
  },

  "validateInput throws at once, or later for an asynchronous schema": async (world) => {
    const job = idleJob(world);
    assert.isUndefined(job.validateInput("a"));
    throwsWith(() => job.validateInput(1 as never), "VALIDATION");
    const slow = world.job({ id: world.id(), schema: text.refine(async (given) => given === "a"), process: () => 1 });
    const valid = slow.validateInput("a");
    assert.isFunction((valid as Promise<void>).then);
    await valid;
    await rejectsWith(Promise.resolve(slow.validateInput("b")), "VALIDATION");
  },

  "calls take effect in call order, also when a schema takes its time": async (world) => {
    const { seen, process } = recorder();
    const schema = text.refine(async (given) => {
      // The first takes longest.
      await new Promise((resolve) => setTimeout(resolve, given === "a" ? 20 : 1));
      return true;
    });
    const job = world.job({ id: world.id(), schema, process, worker: false });
    await Promise.all("abc".split("").map((input) => job.submit({ input })));
    const { entries } = await job.list();
    assert.deepEqual(
      entries.map(({ input }) => input),
      ["a", "b", "c"],
    );
    assert.deepEqual(seen, []);
  },

  "later changes to what was given change nothing": async (world) => {
    const job = world.job({
      id: world.id(),
      schema: z.object({ list: z.array(z.number()) }),
      process: ({ input }) => {
        input.list.push(3);
        return input;
      },
    });
    const input = { list: [1] };
    const meta = { list: [1] };
    const submitting = job.submit({ input, meta });
    input.list.push(2);
    meta.list.push(2);
    const id = await submitting;
    assert.deepEqual((await job.join({ id })).result, { list: [1, 3] });
    const info = await job.get(id);
    assert.deepEqual(info?.input, { list: [1] });
    assert.deepEqual(info?.meta, { list: [1] });
  },

  "a handle with worker: false runs nothing": async (world) => {
    const id = world.id();
    const { seen, process } = recorder();
    const producer = textJob(world, process, { id, worker: false });
    const submitted = await producer.submit({ input: "a" });
    assert.include(await producer.stats(), { submitted: 1, handlers: 1, workers: 0 });
    assert.deepEqual(seen, []);
    const worker = textJob(world, () => "worked", { id });
    await worker.start();
    assert.strictEqual((await producer.join({ id: submitted })).result, "worked");
  },

  "only submit and start begin the worker": async (world) => {
    const job = textJob(world, ({ input }) => input);
    await job.join({ id: "unknown" });
    await job.cancel({ id: "unknown" });
    await job.events("unknown").reader().recv({ wait: false });
    await job.get("unknown");
    await job.list();
    assert.include(await job.stats(), { handlers: 0, workers: 0 });
    await job.start();
    await job.start();
    assert.include(await job.stats(), { handlers: 1, workers: 1 });
  },

  "a job whose submit is answered is run by whichever tab is there": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const submitted = await idleJob(world, { id }).submit({ input: "a" });
      const there = textJob(world.tab(), ({ input }) => `there ${input}`, { id });
      await there.start();
      assert.strictEqual((await there.join({ id: submitted })).result, "there a");
    },
  },

  "other limits of a later handle are the job's from then on": async (world) => {
    const id = world.id();
    const held = gate();
    const running: string[] = [];
    const settings = { id, concurrency: 5, globalConcurrency: 1 };
    const job = textJob(
      world,
      async ({ input }) => {
        running.push(input);
        await held.opened;
      },
      settings,
    );
    await job.submitMany([{ input: "a" }, { input: "b" }, { input: "c" }]);
    await eventually(() => running.length === 1, "one runs");
    const later = idleJob(world, { id, globalConcurrency: 2 });
    await later.stats();
    await eventually(() => running.length === 2, "two run");
    assert.include(await later.stats(), { running: 2, submitted: 1 });
    held.open();
  },

  "memory-only against durable is a conflict": {
    skip: {
      memory: "everything is in memory",
      "hub+memory": "the world makes every handle memory-only",
      redis: "Redis keeps what its own persistence keeps, whatever a handle asks for",
      "redis-cluster": "Redis keeps what its own persistence keeps, whatever a handle asks for",
    },
    run: async (world) => {
      const id = world.id();
      await idleJob(world, { id }).submit({ input: "a" });
      await rejectsWith(idleJob(world, { id, durability: "memory" }).submit({ input: "a" }), "CONFLICT");
    },
  },

  "the events of a job begin with submitted": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    assert.deepEqual(await eventsOf(job, id), [{ type: "submitted", jobId: id }]);
  },

  "nothing is refused for want of room by default": async (world) => {
    const job = idleJob(world);
    for (let i = 0; i < 3; i++) await job.submitMany(Array.from({ length: 1000 }, () => ({ input: "a" })));
    assert.strictEqual((await job.stats()).submitted, 3000);
  },
});
