/** P13: every other primitive at 100 in flight, beside the bare commands that it cannot do without. */
import type { Redis } from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { ephemeral, job, mutex, ratelimit, registry, scheduler, topic } from "../src/server.js";
import { makePayload, payload } from "./payload.js";
import { type Bench, inFlight, onServer, queueOf } from "./redis-sides.js";
import { type Row, compare } from "./report.js";
import { interleave } from "./rounds.js";

const OPERATIONS = 10_000;
const KEYS = 1000;
/** A list of 1,000 is heavier. */
const LISTS = 100;

interface Primitive {
  label: string;
  /** The commands beside it. */
  commands: string;
  /** Operations per second of the system whose API this is (its Bun build), taken apart. */
  reference?: number;
  operations?: number;
  ours(i: number): Promise<unknown>;
  bare(i: number): Promise<unknown>;
}

/** The bare side checks and reads payloads, too. */
const textOf = (i: number): string => JSON.stringify(payload.parse(makePayload(i)));
const readText = (text: string | null | undefined): unknown => (text ? payload.parse(JSON.parse(text)) : null);
const keyOf = (i: number): string => `entry/${i % KEYS}`;
/** Sent in one write, as all others of the tick (`enableAutoPipelining`). */
const together = (...calls: Promise<unknown>[]): Promise<unknown[]> => Promise.all(calls);

export async function primitives(): Promise<Row[]> {
  return onServer("none", async (bench) => {
    const rows: Row[] = [];
    for (const make of [queues, topics, registries, ephemerals, locks, schedulers]) {
      for (const primitive of await make(bench)) rows.push(await rowOf(primitive));
    }
    return [...rows, await limiters(bench), await flexible(bench)];
  });
}

async function rowOf({ label, commands, reference, operations = OPERATIONS, ours, bare }: Primitive): Promise<Row> {
  const figures = await interleave({ ours: () => inFlight(operations, ours), bare: () => inFlight(operations, bare) });
  const known = reference === undefined ? "" : `; reference, taken apart: ${reference.toLocaleString("en")}/s`;
  return compare({
    target: "P13",
    label: `${label}, 100 in flight; other: ${commands}${known}`,
    unit: "/s",
    ours: figures.ours,
    other: figures.bare,
    wants: "≥ 0.6×",
    met: ({ ratio }) => ratio >= 0.6,
  });
}

async function queues({ backend, bare }: Bench): Promise<Primitive[]> {
  const tasks = queueOf(backend, "lived");
  await tasks.send({ data: makePayload(0) });
  return [
    {
      label: "queue send, recv, ack",
      commands: "XADD, XREADGROUP, XACK + XDEL",
      ours: async (i) => {
        await tasks.send({ data: makePayload(i) });
        await (await tasks.recv())!.ack();
      },
      bare: await streamLife(bare, "lived-stream"),
    },
  ];
}

async function streamLife(bare: Redis, stream: string): Promise<Primitive["bare"]> {
  await bare.xgroup("CREATE", stream, "workers", "0", "MKSTREAM");
  return async (i) => {
    await bare.xadd(stream, "*", "data", textOf(i));
    const read = (await bare.xreadgroup("GROUP", "workers", "me", "COUNT", 1, "STREAMS", stream, ">")) as
      [string, [string, string[]][]][] | null;
    const [id, fields] = read![0]![1][0]!;
    readText(fields[1]);
    await together(bare.xack(stream, "workers", id), bare.xdel(stream, id));
  };
}

async function topics({ backend, bare }: Bench): Promise<Primitive[]> {
  const log = topic({ id: "log", schema: payload, backend });
  const taken = topic({ id: "taken", schema: payload, backend });
  const reader = taken.reader("group");
  await log.pub({ data: makePayload(0) });
  await bare.xgroup("CREATE", "taken-stream", "group", "0", "MKSTREAM");
  return [
    {
      label: "topic pub",
      commands: "XADD MAXLEN ~, PUBLISH",
      reference: 15_000,
      ours: (i) => log.pub({ data: makePayload(i) }),
      bare: (i) => {
        const text = textOf(i);
        return together(
          bare.xadd("log-stream", "MAXLEN", "~", 100_000, "*", "data", text),
          bare.publish("log-channel", text),
        );
      },
    },
    {
      label: "topic pub, recv of a group, commit",
      commands: "XADD, PUBLISH; XREADGROUP; XACK",
      ours: async (i) => {
        await taken.pub({ data: makePayload(i) });
        await (await reader.recv())!.commit();
      },
      bare: async (i) => {
        const text = textOf(i);
        await together(bare.xadd("taken-stream", "*", "data", text), bare.publish("taken-channel", text));
        const read = (await bare.xreadgroup("GROUP", "group", "me", "COUNT", 1, "STREAMS", "taken-stream", ">")) as
          [string, [string, string[]][]][] | null;
        const [id, fields] = read![0]![1][0]!;
        readText(fields[1]);
        await bare.xack("taken-stream", "group", id);
      },
    },
  ];
}

async function registries({ backend, bare }: Bench): Promise<Primitive[]> {
  const entries = registry({ id: "entries", schema: payload, backend });
  for (let i = 0; i < KEYS; i++) {
    await entries.upsert({ key: keyOf(i), value: makePayload(i) });
    await bare.hset("entries", keyOf(i), textOf(i));
  }
  return [
    {
      label: "registry upsert",
      commands: "HSET, HINCRBY, XADD MAXLEN ~, PUBLISH",
      ours: (i) => entries.upsert({ key: keyOf(i), value: makePayload(i) }),
      bare: (i) => {
        const text = textOf(i);
        return together(
          bare.hset("entries", keyOf(i), text),
          bare.hincrby("entries-meta", "version", 1),
          bare.xadd("entries-log", "MAXLEN", "~", 10_000, "*", "data", text),
          bare.publish("entries-channel", text),
        );
      },
    },
    {
      label: "registry get",
      commands: "HGET",
      ours: (i) => entries.get({ key: keyOf(i) }),
      bare: async (i) => readText(await bare.hget("entries", keyOf(i))),
    },
    {
      label: "registry list of 1,000",
      commands: "HGETALL",
      operations: LISTS,
      ours: () => entries.list(),
      bare: async () => Object.values(await bare.hgetall("entries")).map(readText),
    },
  ];
}

async function ephemerals({ backend, bare }: Bench): Promise<Primitive[]> {
  const presence = ephemeral({ id: "presence", schema: payload, ttlMs: 60_000, backend });
  await presence.upsert({ key: keyOf(0), value: makePayload(0) });
  return [
    {
      label: "ephemeral upsert",
      commands: "HSET, ZADD, XADD MAXLEN ~, PUBLISH",
      ours: (i) => presence.upsert({ key: keyOf(i), value: makePayload(i) }),
      bare: (i) => {
        const text = textOf(i);
        return together(
          bare.hset("presence", keyOf(i), text),
          bare.zadd("presence-ends", Date.now() + 60_000, keyOf(i)),
          bare.xadd("presence-log", "MAXLEN", "~", 10_000, "*", "data", text),
          bare.publish("presence-channel", text),
        );
      },
    },
    {
      label: "ephemeral touch",
      commands: "ZADD XX",
      ours: () => presence.touch({ key: keyOf(0) }),
      bare: () => bare.zadd("presence-ends", "XX", Date.now() + 60_000, keyOf(0)),
    },
  ];
}

const RELEASE = `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`;

async function locks({ backend, bare }: Bench): Promise<Primitive[]> {
  const resources = mutex({ id: "locks", backend });
  await resources.query("lock/0");
  const release = (await bare.script("LOAD", RELEASE)) as string;
  return [
    {
      label: "mutex acquire, release",
      commands: "SET NX PX + INCR (its token), script of GET and DEL",
      reference: 8000,
      ours: async (i) => resources.release((await resources.acquire(`lock/${i}`))!),
      bare: async (i) => {
        const key = `lock/${i}`;
        await together(bare.set(key, `owner${i}`, "PX", 10_000, "NX"), bare.incr("lock-tokens"));
        await bare.evalsha(release, 1, key, `owner${i}`);
      },
    },
  ];
}

async function schedulers({ backend, bare }: Bench): Promise<Primitive[]> {
  const work = job({ id: "scheduled", schema: payload, backend, worker: false, process: () => Promise.resolve() });
  const schedules = scheduler({ id: "schedules", backend });
  const register = (i: number) =>
    schedules.register({ id: keyOf(i), cron: "0 0 1 1 *", job: work, input: makePayload(i) });
  await register(0);
  return [
    {
      label: "scheduler register",
      commands: "HSET, ZADD",
      operations: KEYS,
      ours: register,
      bare: (i) => together(bare.hset("schedules", keyOf(i), textOf(i)), bare.zadd("schedules-due", i, keyOf(i))),
    },
    {
      label: "scheduler get",
      commands: "HGET",
      ours: (i) => schedules.get({ id: keyOf(i) }),
      bare: async (i) => readText(await bare.hget("schedules", keyOf(i))),
    },
  ];
}

async function limiters({ backend, bare }: Bench): Promise<Row> {
  const limiter = ratelimit({ id: "limiter", limit: 1e9, windowSecs: 60, backend });
  await limiter.check("someone");
  return rowOf({
    label: "ratelimit check",
    commands: "INCR, GET (the window before), PEXPIRE",
    reference: 15_000,
    ours: (i) => limiter.check(keyOf(i)),
    bare: (i) =>
      together(bare.incr(`now/${keyOf(i)}`), bare.get(`before/${keyOf(i)}`), bare.pexpire(`now/${keyOf(i)}`, 120_000)),
  });
}

async function flexible({ backend, bare }: Bench): Promise<Row> {
  const limiter = ratelimit({ id: "beside", limit: 1e9, windowSecs: 60, backend });
  const other = new RateLimiterRedis({ storeClient: bare, points: 1e9, duration: 60 });
  await limiter.check("someone");
  const figures = await interleave({
    ours: () => inFlight(OPERATIONS, (i) => limiter.check(keyOf(i))),
    other: () => inFlight(OPERATIONS, (i) => other.consume(keyOf(i))),
  });
  return compare({
    target: "P13",
    label: "ratelimit check, 100 in flight; other: rate-limiter-flexible consume",
    unit: "/s",
    ours: figures.ours,
    other: figures.other,
    wants: "reported",
  });
}
