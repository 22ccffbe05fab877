import { assert } from "chai";
import { cases } from "./case.js";
import { eventually, rejection, rejectsWith, rejectsWithRange } from "./expectations.js";
import { eventsOf, gate, idleJob, reaches, textJob } from "./working.js";

const DAY = 24 * 3_600_000;

/** get, list, retryFailed, retention. */
export const jobLook = cases("job", {
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
