/** P1: operations of tabloom/memory in Node, one await each, beside a loop that does nothing but await, parse, check. */
import { mkdirSync, writeFileSync } from "node:fs";
import { Session } from "node:inspector/promises";
import { type Backend, connect, ephemeral, job, mutex, queue, ratelimit, registry, topic } from "../src/memory.js";
import type { Run } from "./main.js";
import { makePayload, payload } from "./payload.js";
import { type Row, compare } from "./report.js";
import { interleave, median } from "./rounds.js";

const OPERATIONS = 20_000;
/** Short ones: the first few still compile. */
const ROUNDS = 10;
const JOBS = 2000;
const LISTED = 1000;
const LISTS = 200;

interface Operation {
  label: string;
  /** Operations per second of the system whose API this is, on a machine of two cores. */
  reference: number;
  /** The multiple of it that is wanted. */
  times: number;
  /** Operations per second of one round. */
  run(): Promise<number>;
}

type Operations = Record<string, Operation>;

/** Each group in a backend of its own, so that what one leaves behind does not weigh on the next. */
const groups: readonly ((backend: Backend) => Operations)[] = [
  queueOperations,
  topicOperations,
  jobOperations,
  registryOperations,
  ephemeralOperations,
  lockOperations,
];

export async function memory(run: Run): Promise<Row[]> {
  const rows: Row[] = [];
  const counted: number[] = [];
  for (const makeOperations of groups) {
    const backend = connect();
    const operations = makeOperations(backend);
    run.progress(`memory P1: ${Object.keys(operations).join(", ")}`);
    const sides: Record<string, () => Promise<number>> = { calibration };
    for (const [name, operation] of Object.entries(operations)) sides[name] = () => operation.run();
    const figures = await interleave(sides, ROUNDS);
    for (const [name, operation] of Object.entries(operations)) {
      rows.push(rowOf(operation, figures[name]!, figures.calibration!));
      // Of lists the cached one counts, of jobs the one whose completion alone is waited for.
      if (name !== "list" && name !== "joinedJob") counted.push(median(figures[name]!) / operation.reference);
    }
    if (run.profileFolder) await takeProfiles(operations, run.profileFolder);
    await backend.close();
  }
  return [...rows, meanRow(counted)];
}

function rowOf({ label, reference, times }: Operation, ours: number[], other: number[]): Row {
  return compare({
    target: "P1",
    label: `${label}; other: calibration loop`,
    unit: "/s",
    ours,
    other,
    wants: `≥ ${times} × ${reference.toLocaleString("en")}/s (reference, taken apart)`,
    met: (figures) => figures.ours >= times * reference,
  });
}

function meanRow(ratios: readonly number[]): Row {
  const logs = ratios.map((ratio) => Math.log(ratio));
  return compare({
    target: "P1",
    label: "geometric mean of ours / reference, with the cached list",
    unit: "×",
    ours: [Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length)],
    wants: "≥ 2×",
    met: ({ ours }) => ours >= 2,
  });
}

/** Each round has a queue of its own; receive takes what send of that round left. */
function queueOperations(backend: Backend) {
  let round = 0;
  const makeQueue = () => queue({ id: `q${++round}`, schema: payload, backend });
  let tasks: ReturnType<typeof makeQueue>;
  return {
    send: {
      label: "queue send",
      reference: 551_000,
      times: 1,
      run() {
        tasks = makeQueue();
        return rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await tasks.send({ data: makePayload(i) });
        });
      },
    },
    receive: {
      label: "queue receive + ack",
      reference: 119_000,
      times: 3,
      run: () =>
        rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await (await tasks.recv())!.ack();
        }),
    },
  } satisfies Operations;
}

/** Each round has a topic of its own; replay brings what publish of that round left. */
function topicOperations(backend: Backend) {
  let round = 0;
  const makeTopic = () => topic({ id: `t${++round}`, schema: payload, backend });
  let log: ReturnType<typeof makeTopic>;
  return {
    publish: {
      label: "topic publish",
      reference: 461_000,
      times: 1,
      run() {
        log = makeTopic();
        return rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await log.pub({ data: makePayload(i) });
        });
      },
    },
    replay: {
      label: "topic replay",
      reference: 869_000,
      times: 1,
      run: () =>
        rate(OPERATIONS, async () => {
          let seen = 0;
          for await (const _ of log.live({ after: "0-0" })) if (++seen === OPERATIONS) break;
        }),
    },
  } satisfies Operations;
}

function jobOperations(backend: Backend) {
  let round = 0;
  /** Jobs of one handle run in order: when the last is complete, all are. */
  const batch = async (joined: "last" | "all"): Promise<void> => {
    const handle = job({
      id: `j${++round}`,
      schema: payload,
      backend,
      process: ({ input }) => Promise.resolve(input.i),
    });
    const ids = await Promise.all(Array.from({ length: JOBS }, (_, i) => handle.submit({ input: makePayload(i) })));
    await Promise.all((joined === "all" ? ids : ids.slice(-1)).map((id) => handle.join({ id })));
    const { completed } = await handle.stats();
    if (completed !== JOBS) throw new Error(`${completed} of ${JOBS} jobs are complete`);
    await handle.stop();
  };
  const batches = (joined: "last" | "all") => () =>
    rate(OPERATIONS, async () => {
      for (let done = 0; done < OPERATIONS; done += JOBS) await batch(joined);
    });
  const label = `job submit to complete, ${JOBS.toLocaleString("en")} at once`;
  return {
    job: { label, reference: 24_000, times: 5, run: batches("last") },
    joinedJob: { label: `${label}, a join for each`, reference: 24_000, times: 1, run: batches("all") },
  } satisfies Operations;
}

/** 1,000 keys, written again and again. */
function registryOperations(backend: Backend) {
  const keys = Array.from({ length: LISTED }, (_, i) => `entry/${i}`);
  const plain = registry({ id: "plain", schema: payload, backend });
  const cached = registry({ id: "cached", schema: payload, backend, cache: true });
  const listOf = (entries: typeof plain) => async () => {
    for (const [i, key] of keys.entries()) await entries.upsert({ key, value: makePayload(i) });
    return rate(LISTS, async () => {
      for (let i = 0; i < LISTS; i++) await entries.list();
    });
  };
  return {
    upsert: {
      label: "registry upsert",
      reference: 283_000,
      times: 1,
      run: () =>
        rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await plain.upsert({ key: keys[i % LISTED]!, value: makePayload(i) });
        }),
    },
    get: {
      label: "registry get",
      reference: 984_000,
      times: 1,
      run: () =>
        rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await plain.get({ key: keys[i % LISTED]! });
        }),
    },
    list: { label: "registry list of 1,000", reference: 4500, times: 1, run: listOf(plain) },
    cachedList: { label: "registry list of 1,000, cache: true", reference: 4500, times: 5, run: listOf(cached) },
  } satisfies Operations;
}

function ephemeralOperations(backend: Backend) {
  const keys = Array.from({ length: LISTED }, (_, i) => `entry/${i}`);
  const presence = ephemeral({ id: "presence", schema: payload, ttlMs: 60_000, backend });
  return {
    ephemeral: {
      label: "ephemeral upsert",
      reference: 444_000,
      times: 1,
      run: () =>
        rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await presence.upsert({ key: keys[i % LISTED]!, value: makePayload(i) });
        }),
    },
  } satisfies Operations;
}

function lockOperations(backend: Backend) {
  const limiter = ratelimit({ id: "limiter", limit: 1e9, windowSecs: 60, backend });
  const locks = mutex({ id: "locks", backend });
  return {
    check: {
      label: "ratelimit check",
      reference: 805_000,
      times: 1,
      run: () =>
        rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await limiter.check("someone");
        }),
    },
    lock: {
      label: "mutex acquire + release",
      reference: 224_000,
      times: 1,
      run: () =>
        rate(OPERATIONS, async () => {
          for (let i = 0; i < OPERATIONS; i++) await locks.release((await locks.acquire("something"))!);
        }),
    },
  } satisfies Operations;
}

/** The floor of any operation that stores JSON and checks it. */
function calibration(): Promise<number> {
  const text = JSON.stringify(makePayload(0));
  return rate(OPERATIONS, async () => {
    for (let i = 0; i < OPERATIONS; i++) payload.parse(await Promise.resolve(JSON.parse(text)));
  });
}

async function rate(count: number, loop: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await loop();
  return count / ((performance.now() - start) / 1000);
}

/** One profile of each operation, of a round that is warm. */
async function takeProfiles(operations: Operations, folder: string): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  mkdirSync(folder, { recursive: true });
  for (let round = 0; round < 10; round++) {
    for (const [name, operation] of Object.entries(operations)) {
      if (round === 5) await session.post("Profiler.start");
      await operation.run();
      if (round !== 5) continue;
      const { profile } = await session.post("Profiler.stop");
      writeFileSync(`${folder}/P1-${name}.cpuprofile`, JSON.stringify(profile));
    }
  }
  session.disconnect();
}
