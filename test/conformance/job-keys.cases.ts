import { assert } from "chai";
import { cases } from "./case.js";
import { isPending } from "./expectations.js";
import { gate, idleJob, reaches, recorder, textJob } from "./working.js";

const DAY = 24 * 3_600_000;

/** Keys, delays. */
export const jobKeys = cases("job", {
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
});
