import { assert } from "chai";
import { ONE_TAB, cases } from "./case.js";
import { eventually, isPending, rejection, rejectsWith, rejectsWithRange } from "./expectations.js";
import { aborted, eventsOf, gate, idleJob, reaches, textJob, typesOf } from "./working.js";

const DAY = 24 * 3_600_000;

/** join, cancel, get, list, retryFailed, retention. */
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
    const byHandle = job.join({ id });
    await eventually(async () => (await job.stats()).waiters > 0, "it waits");
    await job.close();
    await rejectsWith(byHandle, "CLOSED");
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

  "get tells where a job stands": async (world) => {
    const job = idleJob(world);
    assert.isNull(await job.get("unknown"));
    const id = await job.submit({ input: "a", meta: [1], orderingKey: "o", priority: 3, maxAttempts: 4 });
    const info = await job.get(id);
    assert.deepEqual(info, {
      id,
      status: "submitted",
      input: "a",
      meta: [1],
      orderingKey: "o",
      priority: 3,
      maxAttempts: 4,
      submittedAt: info!.submittedAt,
      failures: 0,
      crashes: 0,
      steps: [],
    });
  },

  "get tells which tab runs a job, and until when": async (world) => {
    const go = gate();
    const job = textJob(world, () => go.opened);
    const id = await job.submit({ input: "a", leaseMs: 60_000 });
    await reaches(job, id, "running");
    const info = await job.get(id);
    assert.include(info, { by: world.backend.status.tabId });
    assert.isAbove(info!.leaseUntil!, info!.submittedAt);
    go.open();
    await job.join({ id });
    assert.containsAllKeys(await job.get(id), ["finishedAt"]);
  },

  "list pages through the jobs in order of submission, by status if asked": async (world) => {
    const job = textJob(world, ({ input }) => (input === "bad" ? Promise.reject(new Error("no")) : input));
    const submitted = await job.submitMany(["a", "bad", "b", "bad", "c"].map((input) => ({ input })));
    await job.join({ id: submitted.at(-1)!.id });
    const late = await job.submit({ input: "late", delayMs: DAY });
    const first = await job.list({ limit: 4 });
    assert.deepEqual(
      first.entries.map(({ id }) => id),
      submitted.slice(0, 4).map(({ id }) => id),
    );
    const rest = await job.list({ limit: 4, after: first.next! });
    assert.deepEqual(
      rest.entries.map(({ id }) => id),
      [submitted[4]!.id, late],
    );
    assert.notProperty(rest, "next");
    const failed = await job.list({ status: "failed" });
    assert.deepEqual(
      failed.entries.map(({ id, error }) => [id, error?.message]),
      [
        [submitted[1]!.id, "no"],
        [submitted[3]!.id, "no"],
      ],
    );
    assert.lengthOf((await job.list({ status: "delayed" })).entries, 1);
    assert.lengthOf((await job.list({ status: "running" })).entries, 0);
    await rejectsWithRange(job.list({ limit: 0 }));
    await rejectsWith(job.list({ status: "done" as never }), "VALIDATION");
  },

  "retryFailed runs failed jobs again, untried but with their steps": async (world) => {
    let broken = true;
    const steps: string[] = [];
    const job = textJob(world, async ({ ctx, input }) => {
      await ctx.step({ id: "one", run: () => steps.push(input) });
      if (broken) throw new Error("no");
      return ctx.attempt;
    });
    const ids = [];
    for (const input of ["a", "b"]) ids.push(await job.submit({ input }));
    const cancelled = await job.submit({ input: "c", delayMs: DAY });
    await job.cancel({ id: cancelled });
    for (const id of ids) await job.join({ id });
    broken = false;
    assert.strictEqual(await job.retryFailed({ ids: [ids[0]!, cancelled, "unknown"] }), 1);
    assert.include(await job.join({ id: ids[0]! }), { status: "completed", result: 1 });
    assert.include(await job.join({ id: ids[1]!, timeoutMs: 0 }), { status: "failed" });
    assert.strictEqual(await job.retryFailed(), 1);
    assert.include(await job.join({ id: ids[1]! }), { status: "completed", result: 1 });
    assert.strictEqual(await job.retryFailed(), 0);
    assert.deepEqual(steps, ["a", "b"]);
    assert.include(await job.stats(), { completed: 2, failed: 0, cancelled: 1 });
  },

  "finished jobs are kept for retentionMs, cancelled ones too": async (world) => {
    const job = textJob(world, ({ input }) => input, { retentionMs: 60_000 });
    const done = await job.submit({ input: "a" });
    await job.join({ id: done });
    const cancelled = await job.submit({ input: "a", delayMs: DAY });
    await job.cancel({ id: cancelled });
    await world.advance(50_000);
    assert.isNotNull(await job.get(done));
    await world.advance(10_001);
    assert.isNull(await job.get(done));
    assert.isNull(await job.get(cancelled), "reference fault: cancelled jobs were kept for ever");
    assert.deepEqual(await eventsOf(job, done), []);
    assert.include(await job.stats(), { completed: 0, cancelled: 0 });
  },

  "at most retentionCount finished jobs are kept, the newest": async (world) => {
    const job = textJob(world, ({ input }) => input, { retentionCount: 2 });
    const submitted = await job.submitMany(["a", "b", "c"].map((input) => ({ input })));
    await job.join({ id: submitted.at(-1)!.id });
    assert.isNull(await job.get(submitted[0]!.id));
    assert.lengthOf((await job.list({ status: "completed" })).entries, 2);
    const none = textJob(world, ({ input }) => input, { retentionCount: 0 });
    const id = await none.submit({ input: "a" });
    await eventually(async () => (await none.get(id)) === null, "it is forgotten");
  },

  "jobs that are not finished are kept whatever their age": async (world) => {
    const job = textJob(world, ({ input }) => input, { retentionMs: 1000, retentionCount: 1 });
    const id = await job.submit({ input: "a", delayMs: 100 * DAY });
    await world.advance(99 * DAY);
    assert.include(await job.get(id), { status: "delayed" });
    const joined = job.join({ id });
    await eventually(async () => (await job.stats()).waiters > 0, "it waits");
    await world.advance(DAY + 1);
    assert.strictEqual((await joined).status, "completed");
  },

  "stats counts jobs by where they stand": async (world) => {
    const job = idleJob(world);
    assert.deepEqual(await job.stats(), {
      submitted: 0,
      delayed: 0,
      running: 0,
      parked: 0,
      retry: 0,
      completed: 0,
      failed: 0,
      cancelled: 0,
      waiters: 0,
      keys: 0,
      paused: false,
      handlers: 0,
      workers: 0,
    });
    await job.submit({ input: "a", key: "k" });
    const delayed = await job.submit({ input: "a", delayMs: DAY });
    await job.submit({ input: "a", delayMs: DAY });
    await job.cancel({ id: delayed });
    const { submitted, delayed: waiting, cancelled, keys, handlers } = await job.stats();
    assert.deepEqual([submitted, waiting, cancelled, keys, handlers], [1, 1, 1, 1, 1]);
  },

  "inspect shows jobs, those that run first": async (world) => {
    const go = gate();
    const id = world.id();
    const job = textJob(world, () => go.opened, { id });
    const running = await job.submit({ input: "a" });
    await job.submit({ input: "b" });
    await reaches(job, running, "running");
    const inspector = world.entry.inspect(world.backend);
    const name = { prefix: "", kind: "job", tenantId: "default", id } as const;
    const peeked = (await inspector.peek(name)) as { status: string; input: string }[];
    assert.deepEqual(
      peeked.map(({ status, input }) => [status, input]),
      [
        ["running", '"a"'],
        ["submitted", '"b"'],
      ],
    );
    assert.lengthOf(await inspector.peek(name, { limit: 1 }), 1);
    go.open();
  },

  "calls on a closed handle reject with CLOSED": async (world) => {
    const job = textJob(world, ({ input }) => input);
    await job.close();
    await job.close();
    for (const call of [
      () => job.submit({ input: "a" }),
      () => job.submitMany([{ input: "a" }]),
      () => job.start(),
      () => job.join({ id: "a" }),
      () => job.cancel({ id: "a" }),
      () => job.get("a"),
      () => job.list(),
      () => job.retryFailed(),
      () => job.pause(),
      () => job.resume(),
      () => job.stats(),
      () => job.events("a").reader().recv({ wait: false }),
    ]) {
      await rejectsWith(call(), "CLOSED");
    }
    assert.deepEqual(await job.stop(), { abandoned: 0 });
    assert.instanceOf(await rejection(job.stats()), world.entry.TabloomError);
  },
});
