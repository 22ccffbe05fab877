import { assert } from "chai";
import { z } from "zod";
import type { PayloadTooLargeError, ValidationError } from "../../src/memory.js";
import { ONE_TAB, cases } from "./case.js";
import { eventually, isPending, rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";
import { eventsOf, gate, idleJob, reaches, recorder, text, textJob } from "./working.js";

const DAY = 24 * 3_600_000;

/** submit, keys, time, validation. */
export const jobSubmit = cases("job", {
  "submit gives an id, and the job runs": async (world) => {
    const job = textJob(world, ({ input }) => `${input}!`);
    const id = await job.submit({ input: "a" });
    assert.match(id, /^[0-9A-Z]{26}$/);
    assert.include(await job.join({ id }), { id, status: "completed", result: "a!" });
  },

  "ids of one client are in order of submission": async (world) => {
    const job = idleJob(world);
    const ids = [];
    for (const input of "abc") ids.push(await job.submit({ input }));
    assert.deepEqual([...ids].sort(), ids);
  },

  "no handler runs inside the call that submits": async (world) => {
    let returned = false;
    const job = textJob(world, () => returned);
    const submitting = job.submit({ input: "a" });
    returned = true;
    assert.strictEqual((await job.join({ id: await submitting })).result, true);
  },

  "submitMany submits in order and says what was a duplicate": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const [a, b, again] = await job.submitMany([{ input: "a", key: "k" }, { input: "b" }, { input: "c", key: "k" }]);
    assert.deepEqual(again, { id: a!.id, duplicate: true });
    assert.include(b, { duplicate: false });
    await job.join({ id: b!.id });
    assert.deepEqual(seen, ["a", "b"]);
    assert.deepEqual((await job.submitMany([{ input: "d", key: "k" }]))[0], { id: a!.id, duplicate: true });
    assert.deepEqual(await job.submitMany([]), []);
  },

  "submitMany is all or none": async (world) => {
    const job = idleJob(world);
    await rejectsWith(job.submitMany([{ input: "a" }, { input: 1 as never }]), "VALIDATION");
    await rejectsWith(job.submitMany([{ input: "a" }, { input: "x".repeat(140_000) }]), "PAYLOAD_TOO_LARGE");
    await rejectsWithRange(job.submitMany(Array.from({ length: 1001 }, () => ({ input: "a" }))));
    await rejectsWithRange(job.submitMany(Array.from({ length: 70 }, () => ({ input: "x".repeat(130_000) }))));
    assert.strictEqual((await job.stats()).submitted, 0);
  },

  "handles with the same identity share everything, and each runs its own process": async (world) => {
    const id = world.id();
    const held = gate();
    const busy = gate();
    const one = textJob(
      world,
      async () => {
        busy.open();
        await held.opened;
        return "one";
      },
      { id },
    );
    const first = await one.submit({ input: "a" });
    await busy.opened;
    const two = textJob(world, () => "two", { id });
    const second = await two.submit({ input: "b" });
    assert.strictEqual((await one.join({ id: second })).result, "two", "reference fault: a second handle never ran");
    held.open();
    assert.strictEqual((await two.join({ id: first })).result, "one");
  },

  "stopping one handle leaves the other at work": async (world) => {
    const id = world.id();
    const one = textJob(world, () => "one", { id });
    const two = textJob(world, () => "two", { id });
    await one.start();
    await two.start();
    await one.stop();
    assert.strictEqual((await one.stats()).workers, 1);
    const producer = idleJob(world, { id });
    assert.strictEqual((await two.join({ id: await producer.submit({ input: "a" }) })).result, "two");
  },

  "names that a separator could confuse are different jobs": async (world) => {
    const id = world.id();
    const one = idleJob(world, { id: `${id}:a`, prefix: "b" });
    await one.submit({ input: "a" });
    for (const settings of [{ id, prefix: "a:b" }, { id: `a`, prefix: `b:${id}` }, { id: `${id}:a` }]) {
      assert.strictEqual((await idleJob(world, settings).stats()).submitted, 0);
    }
  },

  "tenants do not share jobs": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const id = await job.submit({ input: "theirs", tenantId: "other" });
    assert.strictEqual((await job.join({ id, tenantId: "other" })).status, "completed");
    assert.strictEqual((await job.join({ id })).error?.code, "UNKNOWN_JOB");
    assert.isNull(await job.get(id));
    assert.strictEqual((await job.get(id, { tenantId: "other" }))?.id, id);
    assert.strictEqual((await job.stats({ tenantId: "other" })).completed, 1);
    assert.strictEqual((await job.stats()).completed, 0);
    assert.deepEqual(seen, ["theirs"]);
  },

  "a key names one job, also after it is done": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const id = await job.submit({ input: "a", key: "k" });
    await job.join({ id });
    assert.strictEqual(await job.submit({ input: "b", key: "k" }), id);
    await job.join({ id: await job.submit({ input: "c", key: "other" }) });
    assert.deepEqual(seen, ["a", "c"]);
    assert.strictEqual((await job.get(id))!.key, "k");
  },

  "a failed and a cancelled job keep their key, too": async (world) => {
    const job = textJob(world, () => Promise.reject(new Error("no")));
    const failed = await job.submit({ input: "a", key: "f" });
    await job.join({ id: failed });
    const cancelled = await job.submit({ input: "a", key: "c", delayMs: DAY });
    await job.cancel({ id: cancelled });
    assert.strictEqual(await job.submit({ input: "b", key: "f" }), failed);
    assert.strictEqual(await job.submit({ input: "b", key: "c" }), cancelled);
  },

  "an empty key is none": async (world) => {
    const job = idleJob(world);
    assert.notStrictEqual(await job.submit({ input: "a", key: "" }), await job.submit({ input: "a", key: "" }));
  },

  "a key is remembered for 7 days by default": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const id = await job.submit({ input: "a", key: "k" });
    await job.join({ id });
    await world.advance(7 * DAY - 60_000);
    assert.strictEqual(await job.submit({ input: "b", key: "k" }), id);
    await world.advance(120_000);
    assert.notStrictEqual(await job.submit({ input: "c", key: "k" }), id);
  },

  "keyTtlMs of the submit wins over the handle's, which is honoured": async (world) => {
    const job = textJob(world, ({ input }) => input, { defaults: { keyTtlMs: 60_000 } });
    const short = await job.submit({ input: "a", key: "short" });
    const long = await job.submit({ input: "a", key: "long", keyTtlMs: DAY });
    await job.join({ id: short });
    await job.join({ id: long });
    await world.advance(61_000);
    assert.notStrictEqual(
      await job.submit({ input: "b", key: "short" }),
      short,
      "reference fault: defaults were ignored",
    );
    assert.strictEqual(await job.submit({ input: "b", key: "long" }), long);
  },

  "a key outlives a delay, a running attempt and a back-off": async (world) => {
    const held = gate();
    const job = textJob(
      world,
      async ({ ctx }) => {
        if (ctx.attempt === 1) throw new Error("again");
        await held.opened;
        return "done";
      },
      { defaults: { maxAttempts: 2, keyTtlMs: 1000, backoff: { kind: "fixed", baseMs: 60_000 }, leaseMs: DAY } },
    );
    const id = await job.submit({ input: "a", key: "k", delayMs: 60_000 });
    const same = async (when: string): Promise<void> =>
      assert.strictEqual(await job.submit({ input: "b", key: "k" }), id, when);
    await world.advance(30_000);
    await same("delayed");
    await world.advance(31_000);
    await reaches(job, id, "retry");
    await world.advance(30_000);
    await same("waiting for its retry");
    await world.advance(31_000);
    await reaches(job, id, "running");
    await world.advance(30_000);
    await same("running");
    held.open();
    await job.join({ id });
    // Counted from its last start, which is longer ago.
    assert.notStrictEqual(await job.submit({ input: "b", key: "k" }), id);
  },

  "the time of a key counts from the last start of its job": async (world) => {
    const job = textJob(world, ({ input }) => input, { defaults: { keyTtlMs: 60_000 } });
    const id = await job.submit({ input: "a", key: "k", delayMs: 600_000 });
    await world.advance(600_001);
    await job.join({ id });
    await world.advance(50_000);
    assert.strictEqual(await job.submit({ input: "b", key: "k" }), id);
    await world.advance(10_001);
    assert.notStrictEqual(await job.submit({ input: "b", key: "k" }), id);
  },

  "a key that outlives its job names it, and join says that it is not known": async (world) => {
    const job = textJob(world, ({ input }) => input, { retentionMs: 60_000 });
    const id = await job.submit({ input: "a", key: "k" });
    await job.join({ id });
    await world.advance(60_001);
    assert.strictEqual(await job.submit({ input: "b", key: "k" }), id);
    const outcome = await job.join({ id });
    assert.include(outcome, { status: "failed" }, "reference fault: a phantom job that was submitted");
    assert.strictEqual(outcome.error?.code, "UNKNOWN_JOB");
  },

  "a delayed job does not run before its time": async (world) => {
    const { seen, process } = recorder();
    const job = textJob(world, process);
    const id = await job.submit({ input: "late", delayMs: 60_000 });
    await job.join({ id: await job.submit({ input: "now" }) });
    assert.include(await job.get(id), { status: "delayed" });
    await world.advance(59_000);
    await job.join({ id: await job.submit({ input: "now" }) });
    assert.deepEqual(seen, ["now", "now"]);
    await world.advance(1001);
    assert.strictEqual((await job.join({ id })).status, "completed");
  },

  "at wins over delayMs, and what is past is now": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const probe = await job.submit({ input: "a" });
    const now = (await job.join({ id: probe })).finishedAt;
    const id = await job.submit({ input: "a", at: now + 60_000, delayMs: 1 });
    assert.strictEqual((await job.get(id))?.dueAt, now + 60_000);
    await job.join({ id: await job.submit({ input: "b", at: 5, delayMs: DAY }) });
    await world.advance(60_001);
    assert.strictEqual((await job.join({ id })).status, "completed");
  },

  "delays beyond 7 days and beyond 2^31−1 ms work": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const id = await job.submit({ input: "a", delayMs: 2 ** 32 });
    const waiting = job.join({ id });
    await world.advance(2 ** 31);
    assert.include(await job.get(id), { status: "delayed" });
    assert.isTrue(await isPending(waiting));
    await world.advance(2 ** 31 + 1);
    assert.strictEqual((await waiting).status, "completed");
  },

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
