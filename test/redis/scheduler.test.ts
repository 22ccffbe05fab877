/** Who leads a scheduler dies, stops, comes back late; and what only this backend does. */
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { InstanceName } from "../../src/protocol/commands.js";
import { instanceKey } from "../../src/protocol/names.js";
import { createRedisBackend } from "../../src/redis/backend.js";
import { instanceRoot, redisNames } from "../../src/redis/keys.js";
import { scriptSource } from "../../src/redis/script-source.js";
import * as tabloom from "../../src/server.js";
import { NO_METRICS, TOLD } from "../conformance/scheduling.js";
import { type Child, killChildren, startChild } from "./child.js";
import { type Proxy, startProxy } from "./proxy.js";
import { type Server, startServer, until } from "./server.js";

const PROCESS = new URL("./scheduler-process.ts", import.meta.url);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const LEASE_MS = 900;
const HEARTBEAT_MS = 300;
const leader = { leaseMs: LEASE_MS, heartbeatMs: HEARTBEAT_MS };

let redis: Server;
let client: Redis;
/** Processes of their own: the `backend.status.tabId` of each is its name. */
interface Member extends Child {
  readonly name: string;
}
const members = new Set<Member>();
/** Theirs to the server: every answer takes some time, so that a death falls between two steps rather than beside them. */
let way: Proxy;
const ANSWER_MS = 15;
let prefix = "";
let spaces = 0;
const opened: tabloom.Backend[] = [];

beforeAll(async () => {
  redis = await startServer();
  client = new Redis(redis.url);
  way = await startProxy(redis.port);
  way.slow(ANSWER_MS);
});
afterEach(async () => {
  members.clear();
  await killChildren();
  await Promise.all(opened.splice(0).map((backend) => backend.close()));
});
afterAll(async () => {
  await way?.stop();
  client?.disconnect();
  await redis?.stop();
});

async function launch(): Promise<Member> {
  const child = await startChild(PROCESS, way.url, prefix, SETTINGS);
  const member: Member = {
    ...child,
    name: await child.says(),
    async kill() {
      members.delete(member);
      await child.kill();
    },
  };
  members.add(member);
  return member;
}

const nameOf = (kind: "scheduler" | "job", id: string): InstanceName => ({ prefix: "", kind, tenantId: "default", id });

/** A process of its own as the server sees it, in this one. */
function connected(url = redis.url) {
  const backend = createRedisBackend({ redis: url, prefix, testClock: true });
  opened.push(backend);
  const job = tabloom.job({ id: "work", schema: z.string(), process: () => {}, worker: false, backend });
  const heard: tabloom.SchedulerMetric[] = [];
  const onMetric = (metric: tabloom.SchedulerMetric): void => void heard.push(metric);
  const clock = tabloom.scheduler({ id: "clock", backend, leader, onMetric });
  return { backend, job, clock, heard };
}

function newSpace(): void {
  prefix = `scheduler${++spaces}`;
}

const metaKey = (kind: "scheduler" | "job", id: string): string =>
  redisNames.key(instanceRoot(prefix, nameOf(kind, id)), "meta");

async function isLed(): Promise<boolean> {
  const untilAt = await client.hget(metaKey("scheduler", "clock"), "leaderUntil");
  const [seconds, micros] = await client.time();
  return Number(untilAt) > Number(seconds) * 1000 + Number(micros) / 1000;
}

async function leaderOf(among: Iterable<Member>): Promise<Member | undefined> {
  const name = await client.hget(metaKey("scheduler", "clock"), "leader");
  return (await isLed()) ? [...among].find((member) => member.name === name) : undefined;
}

async function anyLeader(): Promise<Member> {
  let found: Member | undefined;
  await until("a process leads", async () => (found = await leaderOf(members)) !== undefined);
  return found!;
}

/** Slots of a schedule that were submitted, as often as they were. */
async function slotsOf(job: ReturnType<typeof connected>["job"], scheduleId: string): Promise<number[]> {
  const slots: number[] = [];
  for (let after: string | undefined; ;) {
    const page = await job.list({ limit: 1000, ...(after === undefined ? {} : { after }) });
    for (const { meta } of page.entries) {
      const run = meta as { scheduleId: string; scheduleSlotTs: number };
      if (run.scheduleId === scheduleId) slots.push(run.scheduleSlotTs);
    }
    if (page.next === undefined) return slots;
    after = page.next;
  }
}

/** Each minute from the first after it was made to the one before the next, each once. */
async function expectEachSlotOnce(schedules: readonly string[], slots: number): Promise<void> {
  const { clock, job } = connected();
  for (const id of schedules) {
    const { createdAt, nextRunAt } = (await clock.get({ id }))!;
    const firstSlot = Math.floor(createdAt / MINUTE) * MINUTE + MINUTE;
    const found = (await slotsOf(job, id)).sort((a, b) => a - b);
    expect(found).toEqual(Array.from({ length: (nextRunAt - firstSlot) / MINUTE }, (_, i) => firstSlot + i * MINUTE));
    expect(found.length).toBeGreaterThanOrEqual(slots);
  }
  expect(await clock.dlq()).toEqual([]);
}

const schedules = ["a", "b", "c", "d", "e"];
const SETTINGS = JSON.stringify({ schedules, leader });

/** Resolves when no schedule has a slot before this instant. */
async function served(clock: tabloom.Scheduler, instant: number): Promise<void> {
  await until("every slot is served", async () => (await clock.list()).every(({ nextRunAt }) => nextRunAt > instant));
}

/** Three processes, and this one, which only looks on and moves the clock. */
async function crew() {
  newSpace();
  const here = connected();
  for (let i = 0; i < 3; i++) await launch();
  const firsts = (await here.clock.list()).map(({ nextRunAt }) => nextRunAt);
  expect(firsts).toHaveLength(schedules.length);
  let at = Math.max(...firsts);
  // All of them have come to the same slot.
  await moveTo(here.backend, at);
  await served(here.clock, at);
  return {
    ...here,
    /** To the next slot of all schedules. Not waited for. */
    next(): { at: number; moved: Promise<void> } {
      at += MINUTE;
      return { at, moved: moveTo(here.backend, at) };
    },
  };
}

describe("three processes", { timeout: 120_000 }, () => {
  test("the leader is killed: another leads within lease and heartbeat, and each slot runs once", async () => {
    const { clock, heard, next } = await crew();
    const before = (await clock.metrics()).leaderEpoch;
    const killed = await anyLeader();
    heard.splice(0);
    const killedAt = performance.now();
    await killed.kill();
    await until("another leads", () => heard.some(({ type }) => type === "leader_acquired"));
    const tookMs = performance.now() - killedAt;
    console.log(`another process leads after ${Math.round(tookMs)} ms`);
    // What the requirement says; a follower asks again at the end of the lease that it knows of.
    expect(tookMs).toBeLessThan(LEASE_MS + HEARTBEAT_MS);
    expect((await anyLeader()).name).not.toBe(killed.name);
    expect((await clock.metrics()).leaderEpoch).toBeGreaterThan(before);
    const { at, moved } = next();
    await moved;
    await served(clock, at);
    await expectEachSlotOnce(schedules, 2);
  });

  test("twenty leaders are killed while slots come due: none is lost, none runs twice", async () => {
    const { clock, job, next } = await crew();
    const killed = { before: 0, between: 0, after: 0 };
    for (let i = 0; i < 20; i++) {
      const victim = await anyLeader();
      const { at, moved } = next();
      // From before the slots are looked at until after they are served.
      await new Promise((resolve) => setTimeout(resolve, 5 * i));
      await victim.kill();
      const submitted = (await slotsOf(job, "a")).includes(at);
      const advanced = (await clock.get({ id: "a" }))!.nextRunAt > at;
      killed[advanced ? "after" : submitted ? "between" : "before"]++;
      await Promise.all([moved, launch()]);
      await served(clock, at);
    }
    console.log(`killed before, between submit and advance, after: ${Object.values(killed).join(", ")}`);
    await expectEachSlotOnce(schedules, 21);
  });

  test("the leader is stopped beyond its lease and goes on: what it does late changes nothing", async () => {
    const { clock, next } = await crew();
    for (let i = 0; i < 8; i++) {
      const victim = await anyLeader();
      const { at, moved } = next();
      await new Promise((resolve) => setTimeout(resolve, 12 * i));
      victim.signal("SIGSTOP");
      await moved;
      await served(clock, at);
      const epoch = (await clock.metrics()).leaderEpoch;
      victim.signal("SIGCONT");
      const later = next();
      await later.moved;
      await served(clock, later.at);
      // Who leads now goes on; the late one contends like anybody else.
      expect((await clock.metrics()).leaderEpoch).toBe(epoch);
    }
    await expectEachSlotOnce(schedules, 17);
  });
});

describe("a leader that is late", { timeout: 30_000 }, () => {
  /** Two that have started: one leads, over a way that can be held up; the other would. */
  async function two() {
    newSpace();
    const way = await startProxy(redis.port);
    const late = connected(way.url);
    await late.clock.register({ id: "s", cron: "0 0 * * *", job: late.job, input: "s" });
    await late.clock.start();
    const other = connected();
    await other.job.start();
    await other.clock.start();
    expect((await late.clock.metrics()).isLeader).toBe(true);
    const { nextRunAt } = (await other.clock.get({ id: "s" }))!;
    return { way, late, other, slot: nextRunAt };
  }

  test("loses the lease, and says so when it is back", async () => {
    const { way, late, other } = await two();
    await way.cut();
    await until("the other leads", async () => (await other.clock.metrics()).isLeader);
    await way.restore();
    await until("it knows", async () => (await late.clock.metrics()).leaderChanges === 2);
    expect((await late.clock.metrics()).isLeader).toBe(false);
    await until("it is told", () => other.heard.some(({ type }) => type === "leader_lost"));
    expect(other.heard.find(({ type }) => type === "leader_lost")).toMatchObject({ reason: "expired" });
    await way.stop();
  });

  test("its submit is refused by a job that has seen the next epoch, also under a new key, and is no dead letter", async () => {
    const { way, other, late, slot } = await two();
    const { leaderEpoch: old } = await other.clock.metrics();
    await late.clock.stop();
    await until("the other leads", async () => (await other.clock.metrics()).isLeader);
    await moveTo(other.backend, slot);
    await until("the slot runs", async () => (await slotsOf(other.job, "s")).length === 1);
    const job = nameOf("job", "work") as InstanceName<"job">;
    const config = { globalConcurrency: 0, maxCrashes: 5, timeoutMs: 0, retentionMs: 7 * DAY, retentionCount: 10_000 };
    const port = late.backend.port({ name: job, config, durability: "relaxed" });
    const by = instanceKey(nameOf("scheduler", "clock"));
    const submit = async (epoch: number): Promise<unknown> =>
      port.call("job.submit", {
        jobId: `late${epoch}`,
        input: '"late"',
        bytes: 6,
        key: `late${epoch}`,
        fence: { by, epoch },
      });
    await expect(submit(old)).rejects.toMatchObject({ code: "FENCED" });
    const { leaderEpoch: now } = await other.clock.metrics();
    expect(now).toBeGreaterThan(old);
    expect(await submit(now)).toBeNull();
    expect(await other.clock.dlq()).toEqual([]);
    await way.stop();
  });

  test("its advance is refused, though the schedule is what it has read", async () => {
    const { way, late, other } = await two();
    const { leaderEpoch } = await other.clock.metrics();
    const before = await other.clock.get({ id: "s" });
    const { text, parts } = scriptSource("scheduler-advance");
    const root = instanceRoot(prefix, nameOf("scheduler", "clock"));
    const keys = parts.map((part) => redisNames.key(root, part));
    const revision = Number((await client.hget(redisNames.key(root, "progress"), "s"))!.split(" ")[0]);
    const advance = (owner: string, epoch: number, known: number) => {
      const change = ["s", known, before!.nextRunAt + DAY, "-", "-", "-", "-", 0, 0, 0, "", ""];
      return client.eval(text, keys.length, ...keys, owner, epoch, ...change);
    };
    const { tabId } = late.backend.status;
    expect(await advance(tabId, leaderEpoch - 1, revision)).toEqual([-1]);
    expect(await advance(other.backend.status.tabId, leaderEpoch, revision)).toEqual([-1]);
    expect(await advance(tabId, leaderEpoch, revision - 1)).toEqual([0]);
    expect(await other.clock.get({ id: "s" })).toEqual(before);
    expect((await advance(tabId, leaderEpoch, revision)) as number[]).not.toEqual([-1]);
    expect((await other.clock.get({ id: "s" }))!.nextRunAt).toBe(before!.nextRunAt + DAY);
    await way.stop();
  });

  test("the way is cut between submit and advance: the slot is submitted again to no effect", async () => {
    const { way, late, other, slot } = await two();
    // Only a submit names this key.
    way.loseReplyTo(`${instanceRoot(prefix, nameOf("job", "work"))}:fences`);
    await moveTo(other.backend, slot);
    await way.cut();
    await until("the slot is passed", async () => (await other.clock.get({ id: "s" }))!.nextRunAt === slot + DAY);
    expect(await slotsOf(other.job, "s")).toEqual([slot]);
    await way.restore();
    await until("both are there", async () => (await late.clock.stats()).started === 2);
    expect(await slotsOf(other.job, "s")).toEqual([slot]);
    await way.stop();
  });
});

describe("the server", { timeout: 30_000 }, () => {
  test("is away for longer than the lease: the leader that is alone leads again, and runs what came due", async () => {
    newSpace();
    const way = await startProxy(redis.port);
    const far = connected(way.url);
    await far.clock.register({ id: "s", cron: "0 0 * * *", job: far.job, input: "s" });
    await far.clock.start();
    const before = await far.clock.metrics();
    const { nextRunAt: slot } = (await far.clock.get({ id: "s" }))!;
    await way.cut();
    const { backend, job } = connected();
    await moveTo(backend, slot);
    await until("its lease is over", async () => !(await isLed()));
    expect(await slotsOf(job, "s")).toEqual([]);
    await way.restore();
    await until("the slot runs", async () => (await slotsOf(job, "s")).length === 1);
    const after = await far.clock.metrics();
    expect(after.isLeader).toBe(true);
    expect(after.leaderEpoch).toBeGreaterThanOrEqual(before.leaderEpoch);
    await way.stop();
  });

  test("loses its data: who has started is known again, and leads under a higher epoch", async () => {
    newSpace();
    const { backend, clock, job } = connected();
    const schedule = { id: "s", cron: "0 0 * * *", job, input: "s" };
    await clock.register(schedule);
    await clock.start();
    const { leaderEpoch } = await clock.metrics();
    await client.flushall();
    expect(await clock.register(schedule)).toEqual({ created: true, updated: false });
    await until("it leads", async () => (await clock.metrics()).leaderEpoch > leaderEpoch);
    expect(await clock.stats()).toEqual({ schedules: 1, started: 1, dead: 0 });
    const { nextRunAt: slot } = (await clock.get({ id: "s" }))!;
    await until("the job knows its handle", async () => (await job.stats()).handlers === 1);
    await moveTo(backend, slot);
    expect(await slotsOf(job, "s")).toEqual([slot]);
  });
});

/** The instance's clock. */
async function timeOf(): Promise<number> {
  const [seconds, micros] = await client.time();
  const moved = Number((await client.get(redisNames.clock(prefix))) ?? 0);
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000) + moved;
}

/** To shortly after an instant: what is due then is a little late, as it would be. */
async function moveTo(backend: tabloom.Backend, instant: number): Promise<void> {
  await backend.advanceClock(Math.max(0, instant - (await timeOf())) + 5);
}

describe("a handler is missing", { timeout: 30_000 }, () => {
  test("the leader makes way for another process, once, and that one goes on", async () => {
    newSpace();
    const [one, other] = [connected(), connected()];
    await one.clock.register({ id: "s", cron: "0 0 * * *", job: one.job, input: "s" });
    await one.clock.start();
    await other.clock.start();
    await one.job.close();
    const { nextRunAt: slot } = (await one.clock.get({ id: "s" }))!;
    await moveTo(one.backend, slot);
    await until("the other leads", async () => (await other.clock.metrics()).isLeader);
    await until("it is told", () => other.heard.some(({ type }) => type === "leader_lost"));
    const told = other.heard.map((metric) => [metric.type, "reason" in metric ? metric.reason : ""]);
    expect(told.slice(-3)).toEqual([
      ["dispatch_skipped", "missing_handler"],
      ["leader_lost", "missing_handler"],
      ["leader_acquired", ""],
    ]);
    await other.job.start();
    await until("the slot runs", async () => (await slotsOf(other.job, "s")).length === 1);
    expect((await other.clock.metrics()).isLeader).toBe(true);
  });

  test("alone, the leader goes on with its other schedules", async () => {
    newSpace();
    const one = connected();
    await one.clock.register({ id: "s", cron: "0 0 * * *", job: one.job, input: "s" });
    await one.clock.start();
    await one.job.close();
    const { nextRunAt: slot } = (await one.clock.get({ id: "s" }))!;
    await moveTo(one.backend, slot);
    expect(await one.clock.metrics()).toMatchObject({ isLeader: true, leaderChanges: 1, dispatchSkipped: 1 });
  });
});

/** What cases of the conformance suite say with epochs that count from 1 (here they are times in µs). */
describe("epochs", { timeout: 30_000 }, () => {
  test("grow with every leader, from the server's time in µs on; metrics count what happened", async () => {
    newSpace();
    const { backend, clock, heard, job } = connected();
    expect(await clock.metrics()).toEqual(NO_METRICS);
    await clock.register({ id: "s", cron: "0 0 * * *", job, input: "s" });
    await clock.register({ id: "s", cron: "0 0 * * *", job, input: "s" });
    const startedAt = (await timeOf()) * 1000;
    await clock.start();
    const { nextRunAt: slot } = (await clock.get({ id: "s" }))!;
    await moveTo(backend, slot);
    const metrics = await clock.metrics();
    expect(metrics).toEqual({
      ...NO_METRICS,
      isLeader: true,
      leaderChanges: 1,
      dispatchSubmitted: 1,
      leaderEpoch: metrics.leaderEpoch,
      lastTickAt: metrics.lastTickAt,
    });
    expect(metrics.leaderEpoch).toBeGreaterThanOrEqual(startedAt);
    expect(metrics.leaderEpoch).toBeLessThan(startedAt + 60_000_000);
    expect(Math.abs(metrics.lastTickAt! - slot)).toBeLessThan(MINUTE);
    const runId = await clock.triggerNow({ id: "s" });
    await clock.unregister({ id: "s" });
    await clock.unregister({ id: "s" });
    const other = tabloom.scheduler({ id: "clock", backend, leader });
    await clock.stop();
    await other.start();
    expect((await clock.metrics()).isLeader).toBe(false);
    const later = await other.metrics();
    expect(later).toMatchObject({ isLeader: true, leaderChanges: 3 });
    expect(later.leaderEpoch).toBeGreaterThan(metrics.leaderEpoch);
    await until("all is told", () => heard.length === 10);
    expect(heard.map(({ type }) => type)).toEqual([...TOLD, "leader_acquired"]);
    expect(heard[4]).toMatchObject({ scheduleId: "s", slotTs: slot, schedulerId: "clock" });
    expect(heard[5]).toMatchObject({ runId });
    expect(heard[8]).toMatchObject({ reason: "stop", leaderEpoch: metrics.leaderEpoch });
  });

  test("never go back, though the stored one is ahead of the time", async () => {
    newSpace();
    const { clock } = connected();
    await clock.list();
    await client.hset(metaKey("scheduler", "clock"), "leaderEpoch", "9000000000000000");
    await clock.start();
    expect((await clock.metrics()).leaderEpoch).toBe(9_000_000_000_000_001);
  });

  test("a run that its job refuses goes to the dlq with the epoch, and the schedule goes on", async () => {
    newSpace();
    const { backend, clock, job, heard } = connected();
    await clock.register({ id: "s", cron: "0 0 * * *", job, input: "x".repeat(131_040) });
    await clock.start();
    const { nextRunAt: slot } = (await clock.get({ id: "s" }))!;
    for (const at of [slot, slot + DAY]) await moveTo(backend, at);
    expect(await slotsOf(job, "s")).toEqual([]);
    const { leaderEpoch, ...metrics } = await clock.metrics();
    const dead = await clock.dlq();
    expect(dead.map(({ slotTs }) => slotTs)).toEqual([slot + DAY, slot]);
    expect(dead[1]).toMatchObject({ scheduleId: "s", schedulerId: "clock", leaderEpoch });
    expect(dead[1]!.message).toMatch(/limit/);
    expect(Math.abs(dead[1]!.ts - slot)).toBeLessThan(MINUTE);
    expect(metrics).toMatchObject({ dispatchFailed: 2, dispatchDlq: 2, dispatchSubmitted: 0 });
    expect(await clock.dlq({ limit: 1 })).toHaveLength(1);
    expect((await clock.get({ id: "s" }))!.nextRunAt).toBe(slot + 2 * DAY);
    await until("all is told", () => heard.filter(({ type }) => type === "dispatch_failed").length === 2);
    const types = heard.map(({ type }) => type).filter((type) => type.startsWith("dispatch_"));
    expect(types.slice(0, 3)).toEqual(["dispatch_dlq", "dispatch_advanced_after_failures", "dispatch_failed"]);
  });
});
