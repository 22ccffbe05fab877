/** What piles up in each primitive, and two operations beside the pile. */
import {
  type Backend,
  connect,
  ephemeral,
  job,
  mutex,
  queue,
  ratelimit,
  registry,
  scheduler,
  topic,
} from "../src/memory.js";
import { makePayload, payload } from "./payload.js";

export type Kind = "queue" | "topic" | "job" | "registry" | "ephemeral" | "mutex" | "ratelimit" | "scheduler";

export interface Backlog {
  kind: Kind;
  waiting: number;
}

/** Microseconds per operation. */
export interface Costs {
  first: number;
  second: number;
}

interface Load {
  fill(i: number): Promise<unknown>;
  /** Before each round. */
  begin?(): Promise<void>;
  first(i: number): Promise<unknown>;
  second(i: number): Promise<unknown>;
}

/** What the two operations are called. */
export const operationsOf: Record<Kind, { first: string; second: string; item: string }> = {
  queue: { first: "send", second: "claim + ack", item: "message of 100 B" },
  topic: { first: "publish", second: "claim + commit", item: "event of 100 B" },
  job: { first: "submit with delay + cancel", second: "submit + run + join", item: "delayed job of 100 B" },
  registry: { first: "upsert", second: "create + remove", item: "entry of 100 B" },
  ephemeral: { first: "upsert", second: "touch", item: "entry of 100 B" },
  mutex: { first: "acquire + release", second: "extend", item: "held lock" },
  ratelimit: { first: "check", second: "peek", item: "identifier" },
  scheduler: { first: "get", second: "register + unregister", item: "schedule" },
};

const DAY = 86_400_000;

export function makeLoad(kind: Kind, waiting: number): Load {
  return loads[kind](connect(), waiting);
}

const loads: Record<Kind, (backend: Backend, waiting: number) => Load> = {
  queue(backend) {
    const tasks = queue({ id: "tasks", schema: payload, backend });
    const send = (i: number): Promise<unknown> => tasks.send({ data: makePayload(i % 90_000) });
    return { fill: send, first: send, second: async () => (await tasks.recv())!.ack() };
  },

  topic(backend, waiting) {
    const log = topic({ id: "log", schema: payload, backend, maxLen: waiting });
    const publish = (i: number): Promise<unknown> => log.pub({ data: makePayload(i % 90_000) });
    let groups = 0;
    let reader = log.reader();
    return {
      fill: publish,
      async begin() {
        reader = log.reader(`group-${groups++}`);
      },
      first: publish,
      second: async () => (await reader.recv())!.commit(),
    };
  },

  job(backend, waiting) {
    const options = { id: "job", schema: payload, backend, retentionCount: 100 };
    const worker = job({ ...options, process: ({ input }) => Promise.resolve(input.i) });
    const submit = (i: number): Promise<string> =>
      worker.submit({ input: makePayload(i % 90_000), delayMs: DAY + (i % waiting) });
    return {
      fill: submit,
      first: async (i) => worker.cancel({ id: await submit(i) }),
      second: async (i) => worker.join({ id: await worker.submit({ input: makePayload(i) }) }),
    };
  },

  registry(backend, waiting) {
    const limits = { maxEntries: waiting + 1000 };
    const entries = registry({ id: "entries", schema: payload, backend, limits });
    const upsert = (i: number): Promise<unknown> =>
      entries.upsert({ key: `entry/${i % waiting}`, value: makePayload(i % 90_000) });
    return {
      fill: upsert,
      first: upsert,
      async second(i) {
        await entries.create({ key: `new/${i}`, value: makePayload(i) });
        await entries.remove({ key: `new/${i}` });
      },
    };
  },

  ephemeral(backend, waiting) {
    const limits = { maxEntries: waiting + 1000 };
    const entries = ephemeral({ id: "entries", schema: payload, ttlMs: DAY, backend, limits });
    const upsert = (i: number): Promise<unknown> =>
      entries.upsert({ key: `entry/${i % waiting}`, value: makePayload(i % 90_000) });
    return { fill: upsert, first: upsert, second: (i) => entries.touch({ key: `entry/${i % waiting}` }) };
  },

  mutex(backend) {
    const locks = mutex({ id: "locks", defaultTtl: DAY, backend });
    let last: Awaited<ReturnType<typeof locks.acquire>> = null;
    return {
      fill: async (i) => (last = await locks.acquire(`held/${i}`)),
      first: async (i) => locks.release((await locks.acquire(`free/${i}`))!),
      second: () => locks.extend(last!),
    };
  },

  ratelimit(backend) {
    const limiter = ratelimit({ id: "limiter", limit: 1e9, windowSecs: 86_400, backend });
    const check = (i: number): Promise<unknown> => limiter.check(`someone/${i}`);
    return { fill: check, first: check, second: (i) => limiter.peek(`someone/${i}`) };
  },

  scheduler(backend) {
    const target = job({ id: "job", schema: payload, backend, worker: false, process: () => Promise.resolve() });
    const schedules = scheduler({ id: "schedules", backend });
    const register = (id: string): Promise<unknown> =>
      schedules.register({ id, cron: "0 4 * * *", job: target, input: makePayload(0) });
    return {
      fill: (i) => register(`schedule-${i}`),
      first: (i) => schedules.get({ id: `schedule-${i}` }),
      async second(i) {
        await register(`new-${i}`);
        await schedules.unregister({ id: `new-${i}` });
      },
    };
  },
};
