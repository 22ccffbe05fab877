/** What cases cannot show of registry and ephemeral: several processes, data that is gone. Killed ones: leases.test.ts. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { InstanceSpec } from "../../src/client/backend.js";
import {
  type Backend,
  type EntryReader,
  type Ephemeral,
  type Registry,
  ephemeral,
  registry,
} from "../../src/server.js";
import { closeAll, newPrefix, processAt } from "./processes.js";
import { type Server, startServer, until } from "./server.js";

const HOUR = 3_600_000;
const schema = z.string();

let redis: Server;

beforeAll(async () => {
  redis = await startServer();
});
afterEach(closeAll);
afterAll(() => redis?.stop());

function ephemeralOf(backend: Backend): Ephemeral<typeof schema> {
  return ephemeral({ id: "e", schema, ttlMs: HOUR, backend });
}

function registryOf(backend: Backend): Registry<typeof schema> {
  return registry({ id: "r", schema, backend });
}

type Keyed = { readonly key: string; readonly value: unknown };

/** Of the next events, as "type key". */
async function next(reader: EntryReader<Keyed>, count: number): Promise<string[]> {
  const seen: string[] = [];
  while (seen.length < count) {
    const event = await reader.recv();
    if (event === null) throw new Error(`only ${seen.join(", ")}`);
    seen.push(
      event.type === "overflow" ? "overflow" : `${event.type} ${event.type === "upsert" ? event.entry.key : event.key}`,
    );
  }
  return seen;
}

/** On the server's clock, which nobody moves here. */
function overAt(ms: number): Promise<void> {
  return until("its time is over", async () => {
    const [seconds] = (await redis.ask("TIME")) as [string];
    return Number(seconds) * 1000 > ms;
  });
}

const keysOf = ({ entries }: { entries: readonly Keyed[] }): string[] => entries.map(({ key }) => key);

test("processes that only hold something tell it again when the server has lost everything", async () => {
  const prefix = newPrefix();
  const one = ephemeralOf(processAt(redis.url, prefix));
  const other = ephemeralOf(processAt(redis.url, prefix));
  const { createdAt, version } = await one.upsert({ key: "a", value: "x", bound: "tab" });
  await other.upsert({ key: "b", value: "y", bound: "tab" });
  await other.upsert({ key: "free", value: "z" });
  await redis.ask("FLUSHALL");
  // Nobody calls anything: the next renewal finds it, and says it to the others.
  await until("the instance is back", async () => (await redis.ask("DBSIZE")) !== 0);
  const looking = ephemeralOf(processAt(redis.url, prefix));
  await until("both are back", async () => keysOf(await looking.snapshot()).join() === "a,b");
  const again = await looking.get({ key: "a" });
  expect(again).toMatchObject({ value: "x", createdAt });
  expect(Number(again!.version)).toBeGreaterThan(Number(version));
  await one.close();
  expect(keysOf(await looking.snapshot())).toEqual(["b"]);
}, 30_000);

test("a heartbeat that finds everything lost comes after what its process tells", async () => {
  const prefix = newPrefix();
  const entries = ephemeralOf(processAt(redis.url, prefix));
  await entries.upsert({ key: "a", value: "x", bound: "tab" });
  const reader = entries.reader();
  await entries.stats();
  await redis.ask("FLUSHALL");
  expect(await entries.touch({ key: "a" })).toMatchObject({ ok: true });
  expect((await entries.get({ key: "a" }))?.value).toBe("x");
  // Its log is another one.
  expect(await next(reader, 1)).toEqual(["overflow"]);
  await entries.upsert({ key: "b", value: "y" });
  expect(await next(reader, 1)).toEqual(["upsert b"]);
});

test("transactions of 1,000 steps from two processes are each whole", async () => {
  const prefix = newPrefix();
  const registries = [registryOf(processAt(redis.url, prefix)), registryOf(processAt(redis.url, prefix))];
  const keys = Array.from({ length: 1000 }, (_, i) => `k/${String(i).padStart(3, "0")}`);
  const values = ["one", "other"].map((word) => word.repeat(500));
  const write = (i: number): Promise<unknown> =>
    registries[i]!.transact(keys.map((key) => ({ op: "upsert" as const, key, value: values[i]! })));
  for (let round = 0; round < 3; round++) {
    const writing = Promise.all([write(0), write(1)]);
    const pages = [await registries[0]!.list(), await registries[1]!.list()];
    await writing;
    for (const { entries } of [...pages, await registries[0]!.list()]) {
      expect(entries.map(({ key }) => key)).toEqual(entries.length === 0 ? [] : keys);
      expect(new Set(entries.map(({ value }) => value)).size).toBeLessThanOrEqual(1);
    }
  }
  const { version } = (await registries[0]!.get({ key: keys[0]! }))!;
  const refused = await registries[0]!.transact([
    ...keys.slice(1).map((key) => ({ op: "remove" as const, key })),
    { op: "cas", key: keys[0]!, version: `${version}0`, value: "x" },
  ]);
  expect(refused).toEqual({ ok: false, index: 999, reason: "version" });
  expect((await registries[0]!.stats()).entries).toBe(1000);
}, 30_000);

test("two processes that sweep make one expire event of each key", async () => {
  const prefix = newPrefix();
  const registries = [registryOf(processAt(redis.url, prefix)), registryOf(processAt(redis.url, prefix))];
  const readers = registries.map((one) => one.reader());
  const keys = Array.from({ length: 700 }, (_, i) => `k/${i}`);
  await Promise.all(registries.map((one) => one.stats()));
  await registries[0]!.transact(keys.map((key, i) => ({ op: "upsert", key, value: "x", ttlMs: 200 + (i % 3) })));
  for (const reader of readers) {
    const seen = await next(reader, 2 * keys.length);
    expect(seen.slice(keys.length).sort()).toEqual(keys.map((key) => `expire ${key}`).sort());
    expect(await reader.recv({ wait: false })).toBeNull();
  }
  expect(await registries[1]!.stats()).toMatchObject({ entries: 0, tombstones: keys.length });
}, 30_000);

test("of more that is due than one command ends nothing is there", async () => {
  const prefix = newPrefix();
  const alone = processAt(redis.url, prefix);
  const keys = Array.from({ length: 5000 }, (_, i) => `k/${String(i).padStart(4, "0")}`);
  for (let i = 0; i < keys.length; i += 1000) {
    const steps = keys.slice(i, i + 1000).map((key) => ({ op: "upsert" as const, key, value: "x", ttlMs: 3000 }));
    await registryOf(alone).transact(steps);
  }
  const { expiresAt } = (await registryOf(alone).get({ key: keys.at(-1)! }))!;
  await alone.close();
  await overAt(expiresAt!);
  // By a process that looks at nothing before.
  const entries = registryOf(processAt(redis.url, prefix));
  const last = keys.at(-1)!;
  const seen = await Promise.all([
    entries.get({ key: last }),
    entries.list(),
    entries.stats(),
    entries.touch({ key: last }),
    entries.create({ key: last, value: "y" }),
    entries.list(),
  ]);
  expect(seen[0]).toBeNull();
  expect(keysOf(seen[1])).toEqual([]);
  expect(seen[2]).toMatchObject({ entries: 0, tombstones: keys.length });
  expect(seen[3]).toEqual({ ok: false });
  expect(seen[4].ok).toBe(true);
  expect(keysOf(seen[5])).toEqual([last]);
  await until("all are swept", async () => (await entries.stats()).events === 2 * keys.length + 1);
}, 30_000);

test("what came due while no process was there ends at the next command, with its deadline as time", async () => {
  const prefix = newPrefix();
  const alone = processAt(redis.url, prefix);
  const made = await registryOf(alone).upsert({ key: "a", value: "x", ttlMs: 50 });
  await alone.close();
  await overAt(made.expiresAt!);
  const reader = registryOf(processAt(redis.url, prefix)).reader({ after: "0" });
  expect(await reader.recv()).toMatchObject({ type: "upsert" });
  expect(await reader.recv()).toMatchObject({ type: "expire", expiredAt: made.expiresAt });
});

test("a server without memory refuses what grows, and ends entries whole", async () => {
  const prefix = newPrefix();
  const entries = ephemeralOf(processAt(redis.url, prefix));
  const reader = entries.reader();
  await entries.upsert({ key: "a", value: "x" });
  await entries.upsert({ key: "b", value: "x", ttlMs: 300 });
  expect(await next(reader, 2)).toEqual(["upsert a", "upsert b"]);
  await redis.ask("CONFIG", "SET", "maxmemory", 1);
  try {
    await expect(entries.upsert({ key: "c", value: "x" })).rejects.toMatchObject({ code: "QUOTA" });
    await expect(entries.touch({ key: "a" })).rejects.toMatchObject({ code: "QUOTA" });
    expect(await entries.remove({ key: "a" })).toBe(true);
    expect(await next(reader, 2)).toEqual(["delete a", "expire b"]);
    expect(await entries.stats()).toMatchObject({ entries: 0, events: 4 });
  } finally {
    await redis.ask("CONFIG", "SET", "maxmemory", 0);
  }
  await entries.upsert({ key: "c", value: "x" });
  expect(await next(reader, 1)).toEqual(["upsert c"]);
});

test("texts come back byte-equal, in entries and in events", async () => {
  const name = { prefix: "", kind: "registry", tenantId: "default", id: "texts" } as const;
  const config = { maxEntries: 9, maxPayloadBytes: 9999, eventRetentionMs: HOUR, eventMaxLen: 9 };
  const limits = { ...config, tombstoneRetentionMs: HOUR, reconcileBatchSize: 9 };
  const spec: InstanceSpec<"registry"> = { name, config: limits, durability: "relaxed" };
  const port = processAt(redis.url, newPrefix()).port(spec);
  const texts = ['{ "a" : 1.0, "a":\t[1e400,\n"\\u0000\\"\\\\"] }', "", "null", '"\u2028\x7f\ud83d\ude00\\ud800"'];
  for (const [i, value] of texts.entries()) {
    await port.call("registry.upsert", { key: "k", value, meta: texts.at(-i)!, bytes: 1 });
    const record = await port.call("registry.get", { key: "k" });
    expect(record).toMatchObject({ value, meta: texts.at(-i) });
    const { events } = await port.call("registry.read", { after: i, limit: 1 });
    const [event] = events;
    expect(event?.type === "upsert" && event.entry).toEqual(record);
  }
});
