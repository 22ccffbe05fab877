/** P11: how fast something is given to Redis, beside BullMQ and beside the least script that could do it. */
import { makePayload, payload } from "./payload.js";
import {
  type Bench,
  BULK,
  type Persistence,
  bullQueueOf,
  inFlight,
  minimalQueueOf,
  onServer,
  payloads,
  producerOf,
  queueOf,
  sequential,
} from "./redis-sides.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";

/** Calls of one round. Each flush of "always" takes its time. */
const COUNTS = {
  none: { sequential: 4000, inFlight: 20_000, bulks: 300 },
  everysec: { sequential: 4000, inFlight: 20_000, bulks: 300 },
  always: { sequential: 400, inFlight: 10_000, bulks: 150 },
} satisfies Record<Persistence, object>;

export async function adds(persistence: Persistence): Promise<Row[]> {
  const count = COUNTS[persistence];
  const single = (rate: typeof sequential, calls: number) =>
    onServer(persistence, (bench) =>
      interleave({
        job: () => submits(bench, rate, calls),
        queue: () => sends(bench, rate, calls),
        bullmq: () => bullmqAdds(bench, rate, calls),
        minimal: () => minimalSends(bench, rate, calls),
      }),
    );
  const one = await single(sequential, count.sequential);
  const many = await single(inFlight, count.inFlight);
  const bulk = await onServer(persistence, (bench) =>
    interleave({
      job: () => submitBulks(bench, count.bulks),
      queue: () => sendBulks(bench, count.bulks),
      bullmq: () => bullmqBulks(bench, count.bulks),
    }),
  );
  const of = (label: string, ours: number[], other: number[], least: number): Row =>
    compare({
      target: "P11",
      label: `${label}; AOF ${persistence}`,
      unit: "/s",
      ours,
      other,
      wants: `≥ ${least}×`,
      met: ({ ratio }) => ratio >= least,
    });
  return [
    of("job submit, sequential; other: BullMQ add", one.job, one.bullmq, 1.1),
    of("job submit, sequential; other: minimal EVALSHA", one.job, one.minimal, 0.9),
    of("queue send, sequential; other: BullMQ add", one.queue, one.bullmq, 1.1),
    of("queue send, sequential; other: minimal EVALSHA", one.queue, one.minimal, 0.9),
    of("job submit, 100 in flight; other: BullMQ add", many.job, many.bullmq, 1.5),
    of("queue send, 100 in flight; other: BullMQ add", many.queue, many.bullmq, 1.5),
    reported(`queue send, 100 in flight; other: minimal EVALSHA; AOF ${persistence}`, many.queue, many.minimal),
    of("job submitMany of 50; other: BullMQ addBulk", bulk.job, bulk.bullmq, 4),
    of("queue sendMany of 50; other: BullMQ addBulk", bulk.queue, bulk.bullmq, 4),
  ];
}

function reported(label: string, ours: number[], other: number[]): Row {
  return compare({ target: "P11", label, unit: "/s", ours, other, wants: "reported" });
}

// Each round has an instance of its own on every side; its first call, which opens it, is not timed.
let rounds = 0;
const newName = (): string => `round${++rounds}`;

async function submits({ backend }: Bench, rate: typeof sequential, calls: number): Promise<number> {
  const jobs = producerOf(backend, newName());
  await jobs.submit({ input: makePayload(0) });
  return rate(calls, (i) => jobs.submit({ input: makePayload(i) }));
}

async function sends({ backend }: Bench, rate: typeof sequential, calls: number): Promise<number> {
  const tasks = queueOf(backend, newName());
  await tasks.send({ data: makePayload(0) });
  return rate(calls, (i) => tasks.send({ data: makePayload(i) }));
}

async function bullmqAdds({ bullmq }: Bench, rate: typeof sequential, calls: number): Promise<number> {
  const tasks = bullQueueOf(bullmq, newName());
  await tasks.add("task", makePayload(0));
  const figure = await rate(calls, (i) => tasks.add("task", payload.parse(makePayload(i))));
  await tasks.close();
  return figure;
}

async function minimalSends({ bullmq }: Bench, rate: typeof sequential, calls: number): Promise<number> {
  const tasks = await minimalQueueOf(bullmq, newName());
  await tasks.send(makePayload(0));
  return rate(calls, (i) => tasks.send(makePayload(i)));
}

async function submitBulks({ backend }: Bench, calls: number): Promise<number> {
  const jobs = producerOf(backend, newName());
  await jobs.submit({ input: makePayload(0) });
  return BULK * (await sequential(calls, () => jobs.submitMany(payloads(BULK).map((input) => ({ input })))));
}

async function sendBulks({ backend }: Bench, calls: number): Promise<number> {
  const tasks = queueOf(backend, newName());
  await tasks.send({ data: makePayload(0) });
  return BULK * (await sequential(calls, () => tasks.sendMany(payloads(BULK).map((data) => ({ data })))));
}

async function bullmqBulks({ bullmq }: Bench, calls: number): Promise<number> {
  const tasks = bullQueueOf(bullmq, newName());
  await tasks.add("task", makePayload(0));
  const bulk = () => payloads(BULK).map((data) => ({ name: "task", data: payload.parse(data) }));
  const figure = BULK * (await sequential(calls, () => tasks.addBulk(bulk())));
  await tasks.close();
  return figure;
}
