/** P14: what a waiting message of 100 B takes in Redis. */
import { payload } from "./payload.js";
import { type Bench, bullQueueOf, onServer, payloads, producerOf, queueOf } from "./redis-sides.js";
import { type Row, compare } from "./report.js";

const MESSAGES = 100_000;
const BATCH = 1000;

type Add = (bench: Bench) => (items: ReturnType<typeof payloads>) => Promise<unknown>;

export async function memories(): Promise<Row[]> {
  const queued = await bytesOf(({ backend }) => {
    const tasks = queueOf(backend, "memory");
    return (items) => tasks.sendMany(items.map((data) => ({ data })));
  });
  const submitted = await bytesOf(({ backend }) => {
    const jobs = producerOf(backend, "memory");
    return (items) => jobs.submitMany(items.map((input) => ({ input })));
  });
  const bullmq = await bytesOf(({ bullmq: connection }) => {
    const tasks = bullQueueOf(connection, "memory");
    return (items) => tasks.addBulk(items.map((data) => ({ name: "task", data: payload.parse(data) })));
  });
  const row = (what: string, ours: number): Row =>
    compare({
      target: "P14",
      label: `memory of Redis per waiting ${what} of 100 B; other: BullMQ`,
      unit: "B",
      ours: [ours],
      other: [bullmq],
      wants: "≤ 0.6×",
      met: ({ ratio }) => ratio <= 0.6,
    });
  return [row("message, queue", queued), row("job, job", submitted)];
}

/** On a server of its own; after one batch, so that what is there once is not counted. */
function bytesOf(add: Add): Promise<number> {
  return onServer("none", async (bench) => {
    const addBatch = add(bench);
    const batch = payloads(BATCH);
    await addBatch(batch);
    const before = await usedMemory(bench);
    for (let added = 0; added < MESSAGES; added += BATCH) await addBatch(batch);
    return ((await usedMemory(bench)) - before) / MESSAGES;
  });
}

async function usedMemory({ bare }: Bench): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await bare.info("memory"))![1]);
}
