import { assert } from "chai";
import { ONE_TAB, cases } from "./case.js";
import { eventually, isPending, rejectsWith, rejectsWithRange } from "./expectations.js";
import { aborted, gate, idleJob, reaches, textJob, typesOf } from "./working.js";

const DAY = 24 * 3_600_000;

/** join and cancel. */
export const jobJoin = cases("job", {
  "join waits for the end, or has it already": async (world) => {
    const go = gate();
    const job = textJob(world, async ({ input }) => {
      await go.opened;
      return input;
    });
    const id = await job.submit({ input: "a" });
    const waiting = job.join({ id });
    await reaches(job, id, "running");
    assert.isTrue(await isPending(waiting));
    go.open();
    const outcome = await waiting;
    assert.deepEqual(outcome, { id, status: "completed", result: "a", finishedAt: outcome.finishedAt });
    assert.isNumber(outcome.finishedAt);
    assert.deepEqual(await job.join({ id }), outcome);
    assert.deepEqual(await job.join({ id, timeoutMs: 0 }), outcome);
  },

  "many may join one job": async (world) => {
    const go = gate();
    const job = textJob(world, () => go.opened.then(() => 5));
    const id = await job.submit({ input: "a" });
    const joins = [job.join({ id }), job.join({ id }), job.join({ id, timeoutMs: 60_000 })];
    await job.stats();
    go.open();
    assert.deepEqual(
      (await Promise.all(joins)).map(({ result }) => result),
      [5, 5, 5],
    );
  },

  "join gives timed_out when its own time is over": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    const waiting = job.join({ id, timeoutMs: 60_000 });
    await eventually(async () => (await job.stats()).waiters > 0, "it waits");
    await world.advance(60_001);
    const outcome = await waiting;
    assert.include(outcome, { id, status: "timed_out" });
    assert.strictEqual(outcome.error?.code, "JOIN_TIMEOUT");
    assert.isNumber(outcome.finishedAt);
    assert.include(await job.join({ id, timeoutMs: 0 }), { status: "timed_out" });
    await rejectsWithRange(job.join({ id, timeoutMs: -1 }));
  },

  "join of an unknown id fails with UNKNOWN_JOB at once, with and without timeoutMs": async (world) => {
    const job = idleJob(world);
    for (const options of [{}, { timeoutMs: 60_000 }]) {
      const outcome = await job.join({ id: "unknown", ...options });
      assert.include(outcome, { id: "unknown", status: "failed" }, "reference fault: it never settled");
      assert.strictEqual(outcome.error?.code, "UNKNOWN_JOB");
    }
  },

  "join is given up by its signal": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    const abort = new AbortController();
    const waiting = job.join({ id, signal: abort.signal });
    await eventually(async () => (await job.stats()).waiters > 0, "it waits");
    const reason = new Error("enough");
    abort.abort(reason);
    const error = await rejectsWith(waiting, "ABORTED");
    assert.strictEqual(error.cause, reason);
    await eventually(async () => (await job.stats()).waiters === 0, "nobody waits");
  },

  "closing the handle or the backend ends a join with CLOSED": async (world) => {
    const other = world.fresh();
    const job = idleJob(other);
    const id = await job.submit({ input: "a" });
    const byHandle = rejectsWith(job.join({ id }), "CLOSED");
    await eventually(async () => (await job.stats()).waiters > 0, "it waits");
    await job.close();
    await byHandle;
    const again = idleJob(other);
    const [byBackend, timed] = [{}, { timeoutMs: 60_000 }].map(async (options) => {
      const submitted = await again.submit({ input: "a" });
      return again.join({ id: submitted, ...options });
    });
    await eventually(async () => (await again.stats()).waiters >= 2, "both wait");
    const both = [rejectsWith(byBackend!, "CLOSED"), rejectsWith(timed!, "CLOSED")];
    await other.backend.close();
    await Promise.all(both);
  },

  "cancel reaches a running handler through its signal": async (world) => {
    const reason = gate<unknown>();
    const begun = gate();
    const job = textJob(world, async ({ ctx }) => {
      begun.open();
      reason.open(await aborted(ctx.signal));
      return "late";
    });
    const id = await job.submit({ input: "a" });
    await begun.opened;
    assert.isTrue(await job.cancel({ id, reason: "not wanted" }));
    const outcome = await job.join({ id });
    assert.include(outcome, { status: "cancelled" });
    assert.deepEqual(outcome.error, { message: "not wanted", code: "CANCELLED" });
    assert.include(await reason.opened, { message: "not wanted", code: "CANCELLED" });
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "cancelled"]);
    assert.strictEqual((await job.join({ id: await job.submit({ input: "b" }), timeoutMs: 0 })).status, "timed_out");
  },

  "cancel reaches a handler in another tab": {
    skip: ONE_TAB,
    run: async (world) => {
      const id = world.id();
      const reason = gate<unknown>();
      const there = textJob(world.tab(), async ({ ctx }) => reason.open(await aborted(ctx.signal)), { id });
      const submitted = await there.submit({ input: "a" });
      await reaches(there, submitted, "running");
      const here = idleJob(world, { id });
      assert.isTrue(await here.cancel({ id: submitted, reason: "from afar" }));
      assert.include(await reason.opened, { code: "CANCELLED", message: "from afar" });
    },
  },

  "cancel reaches a handler of another handle": async (world) => {
    const id = world.id();
    const reason = gate<unknown>();
    const worker = textJob(world, async ({ ctx }) => reason.open(await aborted(ctx.signal)), { id });
    const submitted = await worker.submit({ input: "a" });
    await reaches(worker, submitted, "running");
    assert.isTrue(await idleJob(world, { id }).cancel({ id: submitted }));
    assert.include(await reason.opened, { code: "CANCELLED" });
  },

  "cancel wins every race: a later result changes nothing": async (world) => {
    const go = gate();
    const left = gate();
    const job = textJob(world, async () => {
      await go.opened;
      queueMicrotask(() => left.open());
      return "late";
    });
    const id = await job.submit({ input: "a", key: "k" });
    await reaches(job, id, "running");
    const cancelling = job.cancel({ id });
    go.open();
    assert.isTrue(await cancelling);
    await left.opened;
    await job.stats();
    const outcome = await job.join({ id });
    assert.deepEqual(outcome, { id, status: "cancelled", finishedAt: outcome.finishedAt });
    assert.deepEqual(await typesOf(job, id), ["submitted", "started", "cancelled"]);
  },

  "a job that waits or is delayed is cancelled at once, and never runs": async (world) => {
    let ran = 0;
    const job = textJob(world, () => ++ran);
    await job.pause();
    const waiting = await job.submit({ input: "a" });
    const delayed = await job.submit({ input: "a", delayMs: 60_000 });
    assert.isTrue(await job.cancel({ id: waiting }));
    assert.isTrue(await job.cancel({ id: delayed }));
    await job.resume();
    await world.advance(60_001);
    assert.include(await job.join({ id: delayed }), { status: "cancelled" });
    assert.include(await job.stats(), { cancelled: 2, submitted: 0, delayed: 0 });
    assert.strictEqual(ran, 0);
  },

  "a job that waits for its retry can be cancelled": async (world) => {
    const job = textJob(world, () => Promise.reject(new Error("no")), {
      defaults: { maxAttempts: 2, backoff: { kind: "fixed", baseMs: 60_000 } },
    });
    const id = await job.submit({ input: "a" });
    await reaches(job, id, "retry");
    assert.isTrue(await job.cancel({ id }));
    await world.advance(60_001);
    assert.include(await job.join({ id }), { status: "cancelled" });
  },

  "cancelling what is done or unknown is false, and the first reason stays": async (world) => {
    const job = textJob(world, ({ input }) => input);
    const done = await job.submit({ input: "a" });
    await job.join({ id: done });
    assert.isFalse(await job.cancel({ id: done }));
    assert.isFalse(await job.cancel({ id: "unknown" }));
    const delayed = await job.submit({ input: "a", delayMs: DAY });
    assert.isTrue(await job.cancel({ id: delayed, reason: "first" }));
    assert.isFalse(await job.cancel({ id: delayed, reason: "second" }));
    assert.strictEqual((await job.join({ id: delayed })).error?.message, "first");
    assert.deepEqual(await typesOf(job, delayed), ["submitted", "cancelled"]);
  },

  "a cancelled job has an error only if a reason was given": async (world) => {
    const job = idleJob(world);
    const id = await job.submit({ input: "a" });
    await job.cancel({ id });
    assert.notProperty(await job.join({ id }), "error");
  },
});
