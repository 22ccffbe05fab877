// oxlint-disable vitest/no-standalone-expect -- cases run as tests elsewhere
/**
 * What scripts write that no case of the conformance suite can need: there time never passes without a sweep, no process
 * dies, no data is lost. atomic.test.ts runs these with one step of a script taken out.
 */
import { Redis } from "ioredis";
import { expect } from "vitest";
import { z } from "zod";
import type { Port } from "../../src/client/backend.js";
import type { Body, CommandName, Configs, Kind, Reply } from "../../src/protocol/commands.js";
import { instanceRoot, redisNames } from "../../src/redis/keys.js";
import { scriptSource } from "../../src/redis/script-source.js";
import type { Case, World } from "../conformance/case.js";
import { schedulerConfig } from "../model/scheduler-parts.js";
import { until } from "./server.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const SOON_MS = 300;
/** A server that does not wake somebody is noticed before the process asks again by itself, once a second. */
const AT_ONCE_MS = 700;

const CONFIGS: { readonly [K in Kind]: Configs[K] } = {
  ratelimit: { limit: 1, windowMs: 1000, algorithm: "sliding-window" },
  mutex: {},
  queue: {
    ordering: "best_effort",
    payloadBytes: 1000,
    maxMessageAgeMs: 100 * HOUR,
    maxNackDelayMs: HOUR,
    dlqRetentionMs: HOUR,
    maxMessages: 0,
    maxDead: 10,
    maxIdempotencyKeys: 10,
    defaultLeaseMs: 1000,
    maxDeliveries: 10,
  },
  topic: { payloadBytes: 1000, retentionMs: HOUR, maxLen: 1000, reclaimAfterMs: 1000 },
  job: { globalConcurrency: 0, maxCrashes: 5, timeoutMs: 0, retentionMs: HOUR, retentionCount: 100 },
  // Who leads is not told of anything by its own heartbeat.
  scheduler: { ...schedulerConfig, leaseMs: 60_000, heartbeatMs: 50_000 },
  registry: {
    maxEntries: 10,
    maxPayloadBytes: 1000,
    eventRetentionMs: HOUR,
    eventMaxLen: 1000,
    tombstoneRetentionMs: HOUR,
    reconcileBatchSize: 10,
  },
  ephemeral: { maxEntries: 10, maxPayloadBytes: 1000, eventRetentionMs: HOUR, eventMaxLen: 1000 },
};

/** One instance, its commands as a process gives them, and its server behind the processes' backs. */
class Place<K extends Kind> {
  readonly name;
  readonly #kind: K;
  readonly #world: World;
  readonly #prefix: string;
  readonly #client: Redis;
  readonly #ports = new Map<World, Port>();
  #moved = 0;

  constructor(kind: K, world: World, prefix: string, client: Redis) {
    this.name = { prefix: "", kind, tenantId: "default", id: "x" };
    this.#kind = kind;
    this.#world = world;
    this.#prefix = prefix;
    this.#client = client;
  }

  /** Of a process: this one, if no other is named. */
  ask<Op extends CommandName & `${K}.${string}`>(op: Op, body: Body<Op>, world = this.#world): Promise<Reply<Op>> {
    let port = this.#ports.get(world);
    if (port === undefined) {
      port = world.backend.port({ name: this.name, config: CONFIGS[this.#kind], durability: "relaxed" } as never);
      this.#ports.set(world, port);
    }
    return Promise.resolve(port.call(op, body));
  }

  key(part: string): string {
    return redisNames.key(instanceRoot(this.#prefix, this.name), part);
  }

  /** Its clock. */
  async now(): Promise<number> {
    const [seconds, micros] = (await this.#client.time()) as unknown as [string, string];
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000) + this.#moved;
  }

  /** Time passes, and nobody does what it brings. */
  async passes(ms: number): Promise<void> {
    await this.#client.hset(this.key("meta"), "clock", (this.#moved += ms));
  }

  /** Its keys, besides what it is; a stream without entries is none. */
  async parts(): Promise<string[]> {
    const keys = await this.#client.keys(this.key("*"));
    if ((await this.#client.xlen(this.key("events"))) === 0) keys.splice(keys.indexOf(this.key("events")) >>> 0, 1);
    return keys
      .map((key) => key.slice(this.key("").length))
      .filter((part) => part !== "meta")
      .sort();
  }

  async loses(): Promise<void> {
    await this.#client.del(...(await this.#client.keys(this.key("*"))));
  }

  /** For the server, the process is dead in so many milliseconds. */
  async livesFor(world: World, ms: number): Promise<void> {
    const at = (await this.now()) - this.#moved + ms;
    await this.#client.zadd(this.key("owners"), "XX", at, world.backend.status.tabId);
  }

  /** As the backend runs it. */
  async run(script: string, ...args: (string | number)[]): Promise<unknown> {
    const { text, parts } = scriptSource(script);
    return this.#client.eval(text, parts.length, ...parts.map((part) => this.key(part)), ...args);
  }
}

/** As a conformance case; told besides where its world is. */
export interface RedisCase extends Pick<Case, "primitive" | "name"> {
  /** No process sweeps: commands do what time brought. */
  readonly unswept?: true;
  run(world: World, prefix: string, url: string): Promise<void>;
}

export const redisCases: RedisCase[] = [];

type Run<K extends Kind> = (place: Place<K>, world: World) => Promise<void>;

function add<K extends Kind>(kind: K, name: string, run: Run<K>, options: Pick<RedisCase, "unswept"> = {}): void {
  redisCases.push({
    primitive: kind,
    name,
    ...options,
    async run(world, prefix, url) {
      const client = new Redis(url);
      try {
        await run(new Place(kind, world, prefix, client), world);
      } finally {
        client.disconnect();
      }
    },
  });
}

/** Whoever asks first after some time does what it brought. */
function addUnswept<K extends Kind>(kind: K, name: string, run: Run<K>): void {
  add(kind, name, run, { unswept: true });
}

// --- Whoever asks first after some time does what it brought --------------------------------------------------------

for (const [op, body] of [
  ["queue.stats", {}],
  ["queue.peek", { limit: 9 }],
  ["queue.listDead", { limit: 9 }],
] as const) {
  addUnswept("queue", `${op} finds leases and delays over, and loses nothing`, async (place) => {
    for (const messageId of ["a", "b"]) await place.ask("queue.send", { messageId, data: "1", bytes: 1 });
    await place.ask("queue.send", { messageId: "c", data: "1", bytes: 1, delayMs: 500 });
    await place.ask("queue.claim", { deliveryId: "d", max: 1, waitMs: 0 });
    await place.passes(2000);
    await place.ask(op, body);
    const taken = await place.ask("queue.claim", { deliveryId: "e", max: 9, waitMs: 0 });
    expect(taken.map(({ messageId, attempt }) => `${messageId}${attempt}`).sort()).toEqual(["a2", "b1", "c1"]);
    for (const { deliveryId } of taken) await place.ask("queue.ack", { deliveryId });
    expect(await place.ask("queue.stats", {})).toMatchObject({ depth: 0, leased: 0, delayed: 0 });
  });
}

for (const [op, body] of [
  ["registry.get", { key: "a" }],
  ["registry.list", { status: "active", limit: 9 }],
  ["registry.stats", {}],
  ["registry.read", { after: 0, limit: 9 }],
  ["registry.anchor", { after: "$" }],
] as const) {
  addUnswept("registry", `${op} ends what is over once, and takes away what is too old`, async (place) => {
    await place.ask("registry.upsert", { key: "a", value: "1", bytes: 1, ttlMs: 1000 });
    await place.passes(2000);
    await place.ask(op, body);
    const { events } = await place.ask("registry.read", { after: 0, limit: 9 });
    expect(events.map(({ type }) => type)).toEqual(["upsert", "expire"]);
    expect(await place.ask("registry.stats", {})).toMatchObject({ entries: 0, tombstones: 1 });
    await place.passes(3 * HOUR);
    await place.ask(op, body);
    expect(await place.parts()).toEqual([]);
  });
}

for (const [op, body] of [
  ["ephemeral.get", { key: "a" }],
  ["ephemeral.snapshot", {}],
  ["ephemeral.stats", {}],
  ["ephemeral.read", { after: 0, limit: 9 }],
  ["ephemeral.anchor", { after: "$" }],
] as const) {
  addUnswept("ephemeral", `${op} ends what is over once, and takes away what is too old`, async (place) => {
    await place.ask("ephemeral.upsert", { key: "a", value: "1", bytes: 1, ttlMs: 1000, handle: "h" });
    await place.passes(2000);
    await place.ask(op, body);
    const { events } = await place.ask("ephemeral.read", { after: 0, limit: 9 });
    expect(events.map(({ type }) => type)).toEqual(["upsert", "expire"]);
    await place.passes(3 * HOUR);
    await place.ask(op, body);
    expect(await place.parts()).toEqual([]);
  });
}

for (const [op, body] of [
  ["job.get", { jobId: "a" }],
  ["job.list", { limit: 9 }],
  ["job.stats", {}],
  ["job.read", { jobId: "a", after: 0, limit: 9 }],
  ["job.anchor", { after: "$" }],
] as const) {
  addUnswept("job", `${op} finds leases over, and takes away what is too old`, async (place) => {
    await place.ask("job.submit", { jobId: "a", input: "1", bytes: 1, leaseMs: 1000, maxAttempts: 2, key: "k" });
    await place.ask("job.claim", { runId: "r", handleId: "h", max: 1, waitMs: 0 });
    await place.passes(2000);
    await place.ask(op, body);
    const [run] = await place.ask("job.claim", { runId: "s", handleId: "h", max: 1, waitMs: 0 });
    expect(run).toMatchObject({ jobId: "a", attempt: 2 });
    expect(await place.ask("job.finish", { runId: "s", outcome: { result: "1" } })).toBe(true);
    await place.passes(1000 * HOUR);
    await place.ask(op, body);
    expect(await place.parts()).toEqual([]);
  });
}

addUnswept("mutex", "mutex.stats counts no lock that is over", async (place) => {
  await place.ask("mutex.acquire", { resource: "r", value: "v", ttlMs: 1000, mode: "exclusive", waitMs: 0 });
  await place.passes(2000);
  expect(await place.ask("mutex.stats", {})).toEqual({ held: 0, resources: 0, waiters: 0 });
  // Which lock was granted last is known for a minute after data was lost (prelude-mutex.lua).
  expect(await place.parts()).toEqual(["recent"]);
});

for (const [op, body] of [
  ["topic.read", { after: 0, limit: 9 }],
  ["topic.anchor", { after: "$" }],
  ["topic.stats", {}],
] as const) {
  addUnswept("topic", `${op} takes away what is too old`, async (place) => {
    await place.ask("topic.publish", { eventId: "a", data: "1", bytes: 1 });
    await place.passes(3 * HOUR);
    await place.ask(op, body);
    expect(await place.parts()).toEqual([]);
  });
}

addUnswept("topic", "topic.stats lets what was held too long be taken over", async (place) => {
  await place.ask("topic.publish", { eventId: "a", data: "1", bytes: 1 });
  await place.ask("topic.claim", { group: "g", deliveryId: "d", max: 1, waitMs: 0 });
  await place.passes(2000);
  expect((await place.ask("topic.stats", {})).groups).toEqual({ g: { lag: 0, pending: 1 } });
  const { deliveries } = await place.ask("topic.claim", { group: "g", deliveryId: "e", max: 1, waitMs: 0 });
  expect(deliveries).toMatchObject([{ eventId: "a", attempt: 2 }]);
});

// --- What comes due while everybody waits ---------------------------------------------------------------------------

add("job", "what is delayed runs when it is due, though nobody asks for anything", async (place) => {
  const waits = place.ask("job.claim", { runId: "r", handleId: "h", max: 1, waitMs: AT_ONCE_MS });
  await place.ask("job.submit", { jobId: "a", input: "1", bytes: 1, delayMs: 100 });
  expect(await waits).toMatchObject([{ jobId: "a" }]);
});

add("topic", "what was held too long comes to who waits for it", async (place) => {
  const touched = { group: "g", max: 1 };
  await place.ask("topic.publish", { eventId: "a", data: "1", bytes: 1 });
  await place.ask("topic.claim", { ...touched, deliveryId: "d", waitMs: 0 });
  const { deliveries } = await place.ask("topic.claim", { ...touched, deliveryId: "e", waitMs: 1000 + AT_ONCE_MS });
  expect(deliveries).toMatchObject([{ eventId: "a", attempt: 2 }]);
});

add("queue", "a call that is given up waits no longer", async (_, world) => {
  const queue = world.queue({ id: "given up", schema: z.string() });
  const ending = new AbortController();
  const received = queue.recv({ signal: ending.signal });
  await until("it waits", async () => (await queue.stats()).waiters === 1);
  ending.abort();
  expect(await received).toBeNull();
  await until("nobody waits", async () => (await queue.stats()).waiters === 0);
});

add("job", "who joins is told at once when the job is done", async (place) => {
  await place.ask("job.submit", { jobId: "a", input: "1", bytes: 1 });
  const joined = place.ask("job.join", { jobId: "a", waitMs: AT_ONCE_MS });
  await place.ask("job.claim", { runId: "r", handleId: "h", max: 1, waitMs: 0 });
  expect(await place.ask("job.stats", {})).toMatchObject({ waiters: 1 });
  await place.ask("job.finish", { runId: "r", outcome: { result: "1" } });
  expect(await joined).toMatchObject({ status: "completed" });
  expect(await place.ask("job.stats", {})).toMatchObject({ waiters: 0 });
});

add(
  "scheduler",
  "after a slot was served the leader hears of an earlier one that another process makes",
  async (place, world) => {
    const job = { name: { ...place.name, kind: "job" }, config: CONFIGS.job, durability: "relaxed" } as const;
    await world.backend.port(job).call("job.register", { handleId: "h", worker: false });
    await place.ask("scheduler.start", { handleId: "h" });
    /** A schedule whose next slot is in this moment's next minute, which begins soon; resolves when it was served. */
    const isServed = async (scheduleId: string, cronOf: (slot: Date) => string, by: World): Promise<void> => {
      const now = await place.now();
      const slot = Math.ceil(now / MINUTE) * MINUTE;
      await place.passes(slot - now - SOON_MS);
      const given = {
        scheduleId,
        cron: cronOf(new Date(slot)),
        tz: "UTC",
        misfire: "skip",
        maxCatchUpRuns: 1,
      } as const;
      const run = { overlap: "allow", job: { ...job, seed: "" }, item: { input: "1", bytes: 1 } } as const;
      await place.ask("scheduler.register", { ...given, ...run }, by);
      const lastRunAt = async () => (await place.ask("scheduler.get", { scheduleId }))!.lastRunAt;
      await until("it was served", async () => (await lastRunAt()) === slot);
    };
    const yearly = (slot: Date): string =>
      `${slot.getUTCMinutes()} ${slot.getUTCHours()} ${slot.getUTCDate()} ${slot.getUTCMonth() + 1} *`;
    await isServed("a", yearly, world);
    await isServed("b", () => "* * * * *", world.tab());
  },
);

// --- Processes that live, leave, and die ----------------------------------------------------------------------------

addUnswept("ephemeral", "a process that says that it lives is known to live, and to die", async (place, world) => {
  await place.ask("ephemeral.upsert", { key: "a", value: "1", bytes: 1, ttlMs: HOUR, handle: "h" });
  await place.livesFor(world, 200);
  expect(await place.run("instance-renew", world.backend.status.tabId)).toBe(1);
  // The lease that it had is over.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await place.passes(20_000);
  expect(await place.ask("ephemeral.get", { key: "a" })).not.toBeNull();
  await place.livesFor(world, 0);
  await place.passes(20_000);
  expect(await place.ask("ephemeral.get", { key: "a" })).toBeNull();
});

add("mutex", "a process that leaves hands its locks back, and its place in line", async (place, world) => {
  const leaving = world.tab();
  const door = { resource: "door", ttlMs: HOUR, mode: "exclusive" } as const;
  await place.ask("mutex.acquire", { ...door, value: "theirs", waitMs: 0 }, leaving);
  const waits = place.ask("mutex.acquire", { ...door, value: "ours", waitMs: AT_ONCE_MS });
  await until("it waits", async () => (await place.ask("mutex.stats", {})).waiters === 1);
  await leaving.backend.close();
  expect(await waits).not.toBeNull();
});

add("topic", "a process that leaves hands back what it took, uncounted", async (place, world) => {
  const leaving = world.tab();
  await place.ask("topic.publish", { eventId: "a", data: "1", bytes: 1 });
  await place.ask("topic.claim", { group: "g", deliveryId: "d", max: 1, waitMs: 0 }, leaving);
  await leaving.backend.close();
  const { deliveries } = await place.ask("topic.claim", { group: "g", deliveryId: "e", max: 1, waitMs: 0 });
  expect(deliveries).toMatchObject([{ eventId: "a", attempt: 1 }]);
  expect(await place.ask("topic.commit", { group: "g", deliveryId: "e" })).toBe(true);
  expect(await place.parts()).toEqual(["events", "groups"]);
});

add("topic", "what was taken by mistake goes back, uncounted", async (place) => {
  await place.ask("topic.publish", { eventId: "a", data: "1", bytes: 1 });
  await place.ask("topic.claim", { group: "g", deliveryId: "d", max: 1, waitMs: 0 });
  expect(await place.ask("topic.release", { group: "g", deliveryIds: ["d"] })).toBe(1);
  const { deliveries } = await place.ask("topic.claim", { group: "g", deliveryId: "e", max: 1, waitMs: 0 });
  expect(deliveries).toMatchObject([{ eventId: "a", attempt: 1 }]);
  expect(await place.ask("topic.commit", { group: "g", deliveryId: "e" })).toBe(true);
  expect(await place.parts()).toEqual(["events", "groups"]);
});

// --- Data that is lost ----------------------------------------------------------------------------------------------

add("mutex", "a lock is held on when the data is lost and its holder says so", async (place, world) => {
  const door = { resource: "door", ttlMs: HOUR, mode: "exclusive" } as const;
  const held = (await place.ask("mutex.acquire", { ...door, value: "ours", waitMs: 0 }))!;
  await place.loses();
  const lock = { ...door, value: "ours", token: held.token };
  expect(await place.ask("mutex.assert", { locks: [lock] })).toEqual([expect.any(Number)]);
  expect(await place.ask("mutex.acquire", { ...door, value: "theirs", waitMs: 0 }, world.tab())).toBeNull();
  expect((await place.ask("mutex.query", { resource: "door" })).holders).toMatchObject([{ token: held.token }]);
  await place.ask("mutex.release", lock);
  const next = await place.ask("mutex.acquire", { ...door, value: "theirs", waitMs: 0 });
  expect(next!.token).toBeGreaterThan(held.token);
});

add("ephemeral", "an entry stays when the data is lost and its holder says so", async (place, world) => {
  const entry = { key: "a", value: "1", ttlMs: HOUR };
  const stamp = await place.ask("ephemeral.upsert", { ...entry, bytes: 1, handle: "h" });
  await place.loses();
  const told = { ...entry, createdAt: stamp.createdAt, version: stamp.version };
  expect(await place.ask("ephemeral.assert", { handle: "h", entries: [told] as never })).toEqual([]);
  expect(await place.ask("ephemeral.get", { key: "a" }, world.tab())).toMatchObject({ value: "1" });
  await place.ask("ephemeral.unbind", { handle: "h" });
  expect(await place.ask("ephemeral.snapshot", {})).toMatchObject({ entries: [] });
  expect(await place.parts()).toEqual(["events"]);
});
