/** What cases cannot show of jobs: processes that are killed or stopped, and work that goes on elsewhere. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Job, type JobOptions, job as makeJob } from "../../src/server.js";
import { type Child, startChild } from "./child.js";
import { endAll, newPrefix, processAt } from "./processes.js";
import { type Server, startServer, until } from "./server.js";

const WORKER = new URL("./job-worker.ts", import.meta.url);
/** What the specification promises: the lease of a dead process, and the look at it. */
const FREE_WITHIN_MS = 11_000;
const schema = z.string();

let redis: Server;

beforeAll(async () => {
  redis = await startServer();
});
afterAll(() => endAll(redis));

type Results = Job<typeof schema, number[]>;

/** A handle in this process; it only submits unless it is told to work. */
function jobAt(prefix: string, options: Partial<JobOptions<typeof schema, number[]>> = {}, { url } = redis): Results {
  const backend = processAt(url, prefix);
  return makeJob({ id: "work", schema, backend, worker: false, process: () => [], ...options });
}

/** Another process that works; and its pid. */
async function worker(prefix: string): Promise<{ child: Child; pid: number }> {
  const child = await startChild(WORKER, redis.url, prefix, "work");
  return { child, pid: Number(await child.says()) };
}

async function eventsOf(job: Results, id: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of job.events(id).reader().stream({ wait: false })) found.push(data.type);
  return found;
}

// Most of them wait for the end of a lease.
describe.concurrent("processes that work on jobs", { timeout: 60_000 }, () => {
  test("the job of a killed process runs again elsewhere within 11 s, behind its last step, and counts one crash", async () => {
    const prefix = newPrefix();
    const job = jobAt(prefix);
    const dying = await worker(prefix);
    const id = await job.submit({ input: "waits", leaseMs: 3_600_000 });
    expect(await dying.child.says()).toBe("runs waits");
    const living = await worker(prefix);
    await dying.child.kill();
    const killedAt = performance.now();
    expect(await living.child.says()).toBe("runs waits");
    const took = performance.now() - killedAt;
    console.log(`runs again after ${Math.round(took)} ms`);
    expect(took).toBeLessThan(FREE_WITHIN_MS);
    living.child.tell("go on");
    const { result } = await job.join({ id });
    expect(result).toEqual([dying.pid, living.pid]);
    expect(await job.get(id)).toMatchObject({ crashes: 1, failures: 0 });
    expect(await eventsOf(job, id)).toEqual(["submitted", "started", "step", "crashed", "started", "completed"]);
    // The dead process is not counted among the handles: this one's, the living one's.
    expect(await job.stats()).toMatchObject({ handlers: 2, workers: 1, running: 0 });
  });

  test("a living process keeps its jobs for longer than any lease of a process", async () => {
    const prefix = newPrefix();
    const job = jobAt(prefix);
    const { child } = await worker(prefix);
    const id = await job.submit({ input: "waits", leaseMs: 3_600_000 });
    expect(await child.says()).toBe("runs waits");
    // Longer than the lease that its claim gave it.
    await new Promise((resolve) => setTimeout(resolve, 13_000));
    expect(await job.get(id)).toMatchObject({ status: "running", crashes: 0 });
    child.tell("go on");
    expect((await job.join({ id })).status).toBe("completed");
  });

  test("after maxCrashes a job that kills its processes has failed with CRASHED", async () => {
    const prefix = newPrefix();
    const job = jobAt(prefix, { maxCrashes: 0 });
    const { child } = await worker(prefix);
    // The settings that count are those that were given last.
    await job.stats();
    const other = jobAt(prefix, { maxCrashes: 0 });
    await other.stats();
    const id = await job.submit({ input: "waits", leaseMs: 3_600_000 });
    expect(await child.says()).toBe("runs waits");
    await child.kill();
    expect(await job.join({ id })).toMatchObject({ status: "failed", error: { code: "CRASHED" } });
  });

  test("a process that was stopped for longer than its lease has lost its jobs: what it finishes is refused", async () => {
    const prefix = newPrefix();
    const job = jobAt(prefix);
    const stopped = await worker(prefix);
    const inputs = Array.from({ length: 5 }, (_, i) => `job ${i}`);
    const submitted = await job.submitMany(inputs.map((input) => ({ input, leaseMs: 3_600_000 })));
    for (const input of inputs) expect(await stopped.child.says()).toBe(`runs ${input}`);
    const living = await worker(prefix);
    stopped.child.signal("SIGSTOP");
    const again = new Set<string>();
    for (const _ of inputs) again.add(await living.child.says());
    expect([...again].sort()).toEqual(inputs.map((input) => `runs ${input}`));
    // Its handlers end at once when it goes on; before it can hear that their jobs are another's.
    stopped.child.tell("go on");
    stopped.child.signal("SIGCONT");
    stopped.child.tell("state");
    expect(JSON.parse(await stopped.child.says())).toMatchObject({ running: inputs.length, completed: 0 });
    living.child.tell("go on");
    for (const { id } of submitted) {
      expect((await job.join({ id })).result).toEqual([stopped.pid, living.pid]);
      expect((await eventsOf(job, id)).filter((type) => type === "completed")).toHaveLength(1);
    }
    expect(await job.stats()).toMatchObject({ completed: inputs.length, running: 0 });
  });

  test("a list of very many holds each job once, in order of submission, wherever they have come to stand", async () => {
    const job = jobAt(newPrefix());
    const ids: string[] = [];
    const usual = Array.from({ length: 400 }, (_, i) => ({ input: `job ${i}` }));
    const others = usual.slice(0, 3).flatMap(({ input }) => [
      { input, priority: 1 },
      { input, delayMs: 3_600_000 },
      { input, orderingKey: "one at a time" },
    ]);
    for (const items of [usual, others, usual, others, usual]) {
      ids.push(...(await job.submitMany(items)).map(({ id }) => id));
    }
    const listed = async (): Promise<string[]> => {
      const found: string[] = [];
      let after: string | undefined;
      do {
        const { entries, next } = await job.list({ limit: 70, ...(after === undefined ? {} : { after }) });
        found.push(...entries.map(({ id }) => id));
        after = next;
      } while (after !== undefined);
      return found;
    };
    expect(await listed()).toEqual(ids);
    for (let i = 0; i < ids.length; i += 7) await job.cancel({ id: ids[i]! });
    expect(await listed()).toEqual(ids);
  });

  test("retryFailed takes all that failed, however many, each once", async () => {
    const job = jobAt(newPrefix(), { worker: true, concurrency: 200, process: () => Promise.reject(new Error("no")) });
    const many = await job.submitMany(Array.from({ length: 1000 }, (_, i) => ({ input: `job ${i}` })));
    const more = await job.submitMany(Array.from({ length: 300 }, (_, i) => ({ input: `job ${i}` })));
    for (const { id } of [...many, ...more]) await job.join({ id });
    await job.stop();
    expect(await job.retryFailed()).toBe(1300);
    expect(await job.stats()).toMatchObject({ submitted: 1300, failed: 0 });
    expect(await job.retryFailed()).toBe(0);
  }, 30_000);

  test("a cancellation reaches the handler's signal in another process", async () => {
    const prefix = newPrefix();
    const job = jobAt(prefix);
    const { child } = await worker(prefix);
    const id = await job.submit({ input: "waits for its signal" });
    expect(await child.says()).toBe("runs waits for its signal");
    expect(await job.cancel({ id, reason: "enough" })).toBe(true);
    expect(await child.says()).toBe("aborted CANCELLED");
    expect(await job.join({ id })).toMatchObject({ status: "cancelled", error: { message: "enough" } });
  });

  test("many handlers hear of their cancellation, each of its own", async () => {
    const prefix = newPrefix();
    const aborted: string[] = [];
    const working = jobAt(prefix, {
      worker: true,
      concurrency: 300,
      async process({ ctx }) {
        await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        aborted.push(ctx.jobId);
        return [];
      },
    });
    const job = jobAt(prefix);
    await working.start();
    const submitted = await job.submitMany(Array.from({ length: 300 }, () => ({ input: "waits" })));
    await until("all run", async () => (await job.stats()).running === 300);
    const half = submitted.filter((_, i) => i % 2 === 0).map(({ id }) => id);
    await Promise.all(half.map((id) => job.cancel({ id })));
    await until("half of them heard it", () => aborted.length >= half.length);
    expect([...aborted].sort()).toEqual([...half].sort());
    expect(await job.stats()).toMatchObject({ running: 150, cancelled: 150 });
  });

  test("joins of several processes are answered though nothing finished is kept", async () => {
    const prefix = newPrefix();
    const settings = { retentionCount: 0 };
    const job = jobAt(prefix, settings);
    const others = Array.from({ length: 3 }, () => jobAt(prefix, settings));
    const id = await job.submit({ input: "a" });
    const joins = [job, ...others].map((at) => at.join({ id }));
    await until("all wait", async () => (await job.stats()).waiters === joins.length);
    const working = jobAt(prefix, { ...settings, worker: true, process: () => [1] });
    await working.start();
    for (const outcome of await Promise.all(joins)) expect(outcome).toMatchObject({ status: "completed", result: [1] });
    await until("it is forgotten", async () => (await job.get(id)) === null);
  });

  test("data that the server lost: handles begin anew, and joins learn that their job is gone", async () => {
    const prefix = newPrefix();
    const own = await startServer();
    try {
      const job = jobAt(prefix, {}, own);
      const working = jobAt(prefix, { worker: true, process: () => [2] }, own);
      await working.start();
      const id = await job.submit({ input: "a", delayMs: 3_600_000 });
      const joined = job.join({ id });
      await until("it waits", async () => (await job.stats()).waiters >= 2);
      await own.restart();
      expect((await joined).error?.code).toBe("UNKNOWN_JOB");
      expect((await job.join({ id: await job.submit({ input: "b" }) })).result).toEqual([2]);
      await until("both are known again", async () => (await job.stats()).handlers === 2);
    } finally {
      await own.stop();
    }
  });
});
