import { assert } from "chai";
import { z } from "zod";
import type { Job, Scheduler, SchedulerMetrics } from "../../src/memory.js";
import type { World } from "./case.js";

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const TIME =
  "on Redis epochs are times in µs, and do not count from 1: the same with those in test/redis/scheduler.test.ts";
/** For cases that name the first epochs. */
export const EPOCH_IS_TIME = { redis: TIME, "redis-cluster": TIME };

/** Of a process in which nothing happened yet. */
export const NO_METRICS: SchedulerMetrics = {
  isLeader: false,
  leaderEpoch: 0,
  leaderChanges: 0,
  dispatchSubmitted: 0,
  dispatchFailed: 0,
  dispatchRetried: 0,
  dispatchSkipped: 0,
  dispatchDlq: 0,
  triggerSubmitted: 0,
  triggerFailed: 0,
  triggerRejected: 0,
  tickErrors: 0,
  lastTickAt: null,
};

/** What is told of one schedule: made, changed, run at its slot and by hand, removed, asked for once more; then stopped. */
export const TOLD = [
  "schedule_registered",
  "schedule_registered",
  "schedule_updated",
  "leader_acquired",
  "dispatch_submitted",
  "trigger_submitted",
  "schedule_unregistered",
  "schedule_unregistered",
  "leader_lost",
];

const schema = z.object({ what: z.string() });

export type TestJob = Job<typeof schema, void>;

/** A handle that only submits: what is scheduled stays where it can be counted. */
export function producer(world: World, id = world.id(), options: { tenantId?: string } = {}): TestJob {
  return world.job({ id, schema, process: () => {}, worker: false, ...options });
}

/** The backend's clock, read and moved. Reading is right to within the time that a call takes. */
class Clock {
  readonly #world: World;
  readonly #offset: number;
  #advanced = 0;

  private constructor(world: World, now: number) {
    this.#world = world;
    this.#offset = now - performance.now();
  }

  static async of(world: World): Promise<Clock> {
    const probe = world.scheduler({ id: world.id() });
    await probe.register({ id: "now", cron: "0 0 1 1 *", job: producer(world), input: { what: "time" } });
    const { updatedAt } = (await probe.get({ id: "now" }))!;
    await probe.close();
    return new Clock(world, updatedAt);
  }

  now(): number {
    return performance.now() + this.#offset + this.#advanced;
  }

  async advance(ms: number): Promise<void> {
    this.#advanced += ms;
    await this.#world.advance(ms);
  }

  /** To shortly after an instant: what is due then is a little late, as it would be. */
  async to(instant: number): Promise<void> {
    await this.advance(Math.max(0, Math.ceil(instant - this.now())) + 5);
  }

  /** An expression for one slot a day, which is so far ahead, and in which this case does not run by chance. */
  daily(aheadMs = 12 * HOUR): string {
    const at = new Date(this.now() + aheadMs);
    return `${at.getUTCMinutes()} ${at.getUTCHours()} * * *`;
  }
}

type Options = Omit<Parameters<World["scheduler"]>[0], "id">;

/** A clock, a scheduler, and a job to be scheduled. */
export async function scheduling(world: World, options: Options = {}) {
  const clock = await Clock.of(world);
  const [id, jobId] = [world.id(), world.id()];
  const scheduler = world.scheduler({ id, ...options });
  const job = producer(world, jobId);
  /** Registers "s" once a day; when its next slot is. */
  const daily = async (more: object = {}): Promise<number> => {
    const schedule = { id: "s", cron: clock.daily(), job, input: { what: "s" }, ...more };
    await scheduler.register(schedule);
    return nextRunAt(scheduler);
  };
  return { clock, id, jobId, scheduler, job, daily };
}

export async function nextRunAt(scheduler: Scheduler, id = "s"): Promise<number> {
  const info = await scheduler.get({ id });
  assert.isNotNull(info);
  return info!.nextRunAt;
}

/** The slots that were submitted, in order of submission. */
export async function slotsOf(job: TestJob): Promise<number[]> {
  return (await runsOf(job)).flatMap(({ meta }) => meta.scheduleSlotTs ?? []);
}

export interface RunMeta {
  scheduleId: string;
  schedulerId: string;
  scheduleSlotTs?: number;
  scheduleTrigger?: string;
  scheduleManualKey?: string;
}

export async function runsOf(job: TestJob) {
  const { entries } = await job.list({ limit: 1000 });
  return entries.map((entry) => ({ ...entry, meta: entry.meta as RunMeta & Record<string, unknown> }));
}
