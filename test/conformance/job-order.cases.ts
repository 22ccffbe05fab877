import { assert } from "chai";
import { cases } from "./case.js";
import { eventually } from "./expectations.js";
import { idleJob, recorder, textJob } from "./working.js";

/** Slots, ordering keys, priority. */
export const jobOrder = cases("job", {
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
