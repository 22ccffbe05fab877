/** P12: how fast workers that do nothing empty a full queue, and what it costs Redis; beside BullMQ's worker. */
import { Worker } from "bullmq";
import type { Redis } from "ioredis";
import { job } from "../src/server.js";
import { makePayload, payload } from "./payload.js";
import {
  type Bench,
  IN_FLIGHT,
  type Persistence,
  bullQueueOf,
  inFlight,
  onServer,
  payloads,
  perSecond,
  producerOf,
  queueOf,
} from "./redis-sides.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";

const JOBS = { none: 10_000, everysec: 10_000, always: 4000 } satisfies Record<Persistence, number>;
/** One after the other. */
const FEW = { none: 2000, everysec: 2000, always: 200 } satisfies Record<Persistence, number>;
const BATCH = 1000;

/**
 * All sides work at least once, and remove what is done. Leases: ours end 10 s after the last sign of life (job) or
 * after 30 s (queue), BullMQ's locks after 30 s, which a check finds every 30 s.
 */
export async function drains(persistence: Persistence): Promise<Row[]> {
  const [many, few] = [JOBS[persistence], FEW[persistence]];
  const wide = await onServer(persistence, (bench) =>
    interleave({
      job: () => drainJobs(bench, many, IN_FLIGHT),
      queue: () => drainQueue(bench, many, IN_FLIGHT),
      batched: () => drainInBatches(bench, many),
      bullmq: () => drainBullmq(bench, many, IN_FLIGHT),
    }),
  );
  const narrow = await onServer(persistence, (bench) =>
    interleave({
      job: () => drainJobs(bench, few, 1),
      queue: () => drainQueue(bench, few, 1),
      bullmq: () => drainBullmq(bench, few, 1),
    }),
  );
  const of = (what: string, ours: number[], other: number[], least?: number): Row =>
    compare({
      target: "P12",
      label: `${what}; other: BullMQ Worker; AOF ${persistence}`,
      unit: "/s",
      ours,
      other,
      wants: least === undefined ? "reported" : `≥ ${least}×`,
      ...(least === undefined ? {} : { met: ({ ratio }) => ratio >= least }),
    });
  return [
    of("job, concurrency 100", wide.job, wide.bullmq, 2),
    of("queue recv + ack, 100 loops", wide.queue, wide.bullmq, 2),
    of("queue recvMany of 100 + acks", wide.batched, wide.bullmq, 3),
    of("job, concurrency 1", narrow.job, narrow.bullmq),
    of("queue recv + ack, one loop", narrow.queue, narrow.bullmq),
  ];
}

let rounds = 0;
const newName = (): string => `drained${++rounds}`;

async function fill(count: number, add: (items: ReturnType<typeof payloads>) => Promise<unknown>): Promise<void> {
  for (let left = count; left > 0; left -= BATCH) await add(payloads(Math.min(left, BATCH)));
}

async function drainJobs({ backend }: Bench, count: number, concurrency: number): Promise<number> {
  const id = newName();
  const jobs = producerOf(backend, id);
  await fill(count, (inputs) => jobs.submitMany(inputs.map((input) => ({ input }))));
  const { worker, done } = jobWorker(backend, id, concurrency, count);
  const start = performance.now();
  await worker.start();
  await done;
  // Answers to what the last handlers returned.
  await worker.stop();
  return perSecond(count, start);
}

function jobWorker(backend: Bench["backend"], id: string, concurrency: number, count: number) {
  let left = count;
  let finish!: () => void;
  const done = new Promise<void>((resolve) => (finish = resolve));
  const process = (): Promise<void> => {
    if (--left === 0) finish();
    return Promise.resolve();
  };
  return { worker: job({ id, schema: payload, backend, concurrency, retentionCount: 0, process }), done };
}

async function drainQueue({ backend }: Bench, count: number, loops: number): Promise<number> {
  const tasks = queueOf(backend, newName());
  await fill(count, (items) => tasks.sendMany(items.map((data) => ({ data }))));
  let left = count;
  const start = performance.now();
  const loop = async (): Promise<void> => {
    while (left-- > 0) await (await tasks.recv())!.ack();
  };
  await Promise.all(Array.from({ length: loops }, loop));
  return perSecond(count, start);
}

async function drainInBatches({ backend }: Bench, count: number): Promise<number> {
  const tasks = queueOf(backend, newName());
  await fill(count, (items) => tasks.sendMany(items.map((data) => ({ data }))));
  let left = count;
  const start = performance.now();
  while (left > 0) {
    const messages = await tasks.recvMany({ max: IN_FLIGHT });
    await Promise.all(messages.map((message) => message.ack()));
    left -= messages.length;
  }
  return perSecond(count, start);
}

async function drainBullmq({ bullmq }: Bench, count: number, concurrency: number): Promise<number> {
  const name = newName();
  const tasks = bullQueueOf(bullmq, name);
  await fill(count, (items) => tasks.addBulk(items.map((data) => ({ name: "task", data: payload.parse(data) }))));
  const { worker, done } = await bullWorker(bullmq, name, concurrency, count);
  const start = performance.now();
  void worker.run();
  await done;
  const figure = perSecond(count, start);
  await worker.close();
  await tasks.close();
  return figure;
}

async function bullWorker(connection: Redis, name: string, concurrency: number, count: number) {
  let left = count;
  const process = ({ data }: { data: unknown }): Promise<void> => {
    payload.parse(data);
    return Promise.resolve();
  };
  const worker = new Worker(name, process, {
    connection,
    concurrency,
    autorun: false,
    removeOnComplete: { count: 0 },
  });
  await worker.waitUntilReady();
  const done = new Promise<void>((resolve) => worker.on("completed", () => --left === 0 && resolve()));
  return { worker, done };
}

// --- What Redis does for one of them ----------------------------------------------------------------------------------

const COUNTED = 10_000;

/** From being given to being done, at 100 in flight. */
export async function costs(): Promise<Row[]> {
  const figures = await onServer("none", (bench) =>
    interleave({
      job: () => costOf(bench, () => jobLife(bench)),
      queue: () => costOf(bench, () => queueLife(bench)),
      bullmq: () => costOf(bench, () => bullmqLife(bench)),
    }),
  );
  const side = (ours: "job" | "queue"): Row[] => [
    costRow(`scripts run for one ${ours}`, "runs", ours, (cost) => cost.scripts),
    costRow(`commands run for one ${ours}, scripts and those in them`, "calls", ours, (cost) => cost.commands),
    costRow(`CPU time of Redis for one ${ours}`, "µs", ours, (cost) => cost.cpuMicros),
  ];
  function costRow(label: string, unit: string, ours: "job" | "queue", pick: (cost: Cost) => number): Row {
    return compare({
      target: "P12",
      label: `${label}, added to done, 100 in flight; other: BullMQ`,
      unit,
      ours: figures[ours].map(pick),
      other: figures.bullmq.map(pick),
      wants: "reported",
    });
  }
  return [...side("job"), ...side("queue")];
}

interface Cost {
  scripts: number;
  commands: number;
  cpuMicros: number;
}

async function costOf({ bare }: Bench, run: () => Promise<unknown>): Promise<Cost> {
  await bare.config("RESETSTAT");
  const cpuBefore = await cpuSeconds(bare);
  await run();
  const cpuMicros = ((await cpuSeconds(bare)) - cpuBefore) * 1e6;
  const stats = [...(await bare.info("commandstats")).matchAll(/cmdstat_(\w+)[^:]*:calls=(\d+)/g)];
  const count = (counted: (name: string) => boolean): number =>
    stats.reduce((sum, [, name, calls]) => sum + (counted(name!) ? Number(calls) : 0), 0) / COUNTED;
  return {
    scripts: count((name) => name.startsWith("eval")),
    commands: count(() => true),
    cpuMicros: cpuMicros / COUNTED,
  };
}

async function cpuSeconds(bare: Redis): Promise<number> {
  const info = await bare.info("cpu");
  const [, sys, user] = /used_cpu_sys:([\d.]+)[^]*used_cpu_user:([\d.]+)/.exec(info)!;
  return Number(sys) + Number(user);
}

async function jobLife({ backend }: Bench): Promise<void> {
  const id = newName();
  const jobs = producerOf(backend, id);
  await inFlight(COUNTED, (i) => jobs.submit({ input: makePayload(i) }));
  const { worker, done } = jobWorker(backend, id, IN_FLIGHT, COUNTED);
  await worker.start();
  await done;
  await worker.stop();
}

async function queueLife({ backend }: Bench): Promise<void> {
  const tasks = queueOf(backend, newName());
  await inFlight(COUNTED, (i) => tasks.send({ data: makePayload(i) }));
  await inFlight(COUNTED, async () => (await tasks.recv())!.ack());
}

async function bullmqLife({ bullmq }: Bench): Promise<void> {
  const name = newName();
  const tasks = bullQueueOf(bullmq, name);
  await inFlight(COUNTED, (i) => tasks.add("task", payload.parse(makePayload(i))));
  const { worker, done } = await bullWorker(bullmq, name, IN_FLIGHT, COUNTED);
  void worker.run();
  await done;
  await worker.close();
  await tasks.close();
}
