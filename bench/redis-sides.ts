/** Our own servers, and what is measured on them: how it is loaded, and what stands beside it. */
import { Queue as BullQueue } from "bullmq";
import { Redis } from "ioredis";
import { type Backend, connect, job, queue } from "../src/server.js";
import { type Server, startServer } from "../test/redis/server.js";
import { makePayload, payload } from "./payload.js";

export const IN_FLIGHT = 100;
export const BULK = 50;

export type Persistence = "none" | "everysec" | "always";

export interface Bench {
  readonly server: Server;
  readonly backend: Backend;
  /** Writes its commands of one tick together, as the backend does. */
  readonly bare: Redis;
  /** For BullMQ, which shares it among its queues. */
  readonly bullmq: Redis;
}

/** Runs on a server of its own, that ends with it. */
export async function onServer<T>(persistence: Persistence, run: (bench: Bench) => Promise<T>): Promise<T> {
  const server = await startServer(persistence === "none" ? {} : { aof: persistence });
  const backend = connect({ redis: server.url, prefix: "bench" });
  const bare = new Redis(server.url, { enableAutoPipelining: true });
  const bullmq = new Redis(server.url, { maxRetriesPerRequest: null });
  try {
    return await run({ server, backend, bare, bullmq });
  } finally {
    await backend.close();
    bare.disconnect();
    bullmq.disconnect();
    await server.stop();
  }
}

export const queueOf = (backend: Backend, id: string) => queue({ id, schema: payload, backend });

/** Only submits. Of what is finished nothing is kept, as with `removeOnComplete` beside it. */
export const producerOf = (backend: Backend, id: string) =>
  job({ id, schema: payload, backend, worker: false, retentionCount: 0, process: () => Promise.resolve() });

export const bullQueueOf = (connection: Redis, name: string) =>
  new BullQueue(name, { connection, defaultJobOptions: { removeOnComplete: true } });

/** The least that an enqueue needs: a number, the record, a place in line. */
const ENQUEUE = `
local n = redis.call("INCR", KEYS[1])
redis.call("HSET", KEYS[2], n, ARGV[1])
redis.call("ZADD", KEYS[3], n, n)
return n`;

export async function minimalQueueOf(connection: Redis, name: string) {
  const sha = (await connection.script("LOAD", ENQUEUE)) as string;
  const keys = ["next", "messages", "ready"].map((part) => `{${name}}:${part}`);
  return {
    send: (data: unknown) => connection.evalsha(sha, 3, ...keys, JSON.stringify(payload.parse(data))),
  };
}

type Call = (i: number) => Promise<unknown>;

/** Calls per second, one after the other. */
export async function sequential(count: number, call: Call): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < count; i++) await call(i);
  return perSecond(count, start);
}

/** Calls per second by 100 loops. */
export async function inFlight(count: number, call: Call): Promise<number> {
  let next = 0;
  const loop = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  return perSecond(count, start);
}

export const perSecond = (count: number, start: number): number => count / ((performance.now() - start) / 1000);

export const payloads = (count: number) => Array.from({ length: count }, (_, i) => makePayload(i));
