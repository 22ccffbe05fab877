import type { SchedulerConfig } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import { slotRun } from "../protocol/scheduled-run.js";
import { type Timetable, timetable } from "../cron/cron.js";
import { isRunning, isServed, originOf, submit } from "./scheduler-jobs.js";
import { type Count, Deposed, type SchedulerResident } from "./scheduler-leader.js";
import { type Hold, type Progress, type Schedule, type Told, jobKeyOf } from "./scheduler-rows.js";
import { type Page, steps } from "./scheduler-steps.js";

/** How long a schedule rests whose zone this process does not know any more. */
const BROKEN_REST_MS = 3_600_000;
/** What says nothing of the run: it is as it was, and tried again when there is a server. */
const OUTAGES = ["OFFLINE", "CLOSED", "TIMEOUT", "ABORTED"];

/** One look at what is due. */
interface Tick {
  readonly leader: SchedulerResident;
  readonly epoch: number;
  readonly now: number;
  readonly seed: string;
  readonly config: SchedulerConfig;
  /** Slots up to here are backlog, those after it are on time. */
  readonly horizon: number;
  /** By job: whether it has a handler. */
  readonly served: Map<string, Promise<boolean>>;
  /** By schedule: late slots that were served. */
  readonly backlog: Map<string, number>;
  /** How many slots may still be looked at. */
  left: number;
  /** A handler was found missing that was there before. */
  missed: boolean;
}

/** A schedule in the hands of the leader. */
interface Served {
  readonly schedule: Schedule;
  readonly times: Timetable;
}

/**
 * Runs what is due: first what is on time, then backlog, longest unserved first; no more than one tick may. In how many
 * milliseconds to look again; -1: nothing is due.
 *
 * @throws `Deposed`
 */
export async function dispatch(leader: SchedulerResident): Promise<number> {
  let tick: Tick | undefined;
  for (;;) {
    const epoch = leader.mustLead();
    const page = await leader.tools.ask(steps.due, { epoch });
    if (page === undefined) throw new Deposed();
    leader.noteTime(page.now);
    if (page.now < leader.restsUntil) return leader.restsUntil - page.now;
    if (page.schedules.length === 0) {
      if (tick?.missed) await leader.makeWay();
      return page.dueIn;
    }
    tick = nextTick(leader, epoch, page, tick);
    await servePage(tick, page);
    leader.counters.lastTickAt = page.now;
    if (tick.left > 0) continue;
    leader.restsUntil = nextTickAt(tick);
    if (tick.missed) await leader.makeWay();
    return nextTickAt(tick) - page.now;
  }
}

function nextTick(leader: SchedulerResident, epoch: number, page: Page, before: Tick | undefined): Tick {
  const { now, seed, config } = page;
  const { graceMs, tickMs, maxSubmitsPerTick } = config;
  return {
    leader,
    epoch,
    now,
    seed,
    config,
    // A slot is never backlog because of the scheduler's own pace.
    horizon: now - Math.max(graceMs, tickMs) - 1,
    served: before?.served ?? new Map(),
    backlog: before?.backlog ?? new Map(),
    left: before?.left ?? maxSubmitsPerTick,
    missed: before?.missed ?? false,
  };
}

async function servePage(tick: Tick, { schedules }: Page): Promise<void> {
  const isLate = ({ progress }: Schedule): boolean => progress.nextRunAt <= tick.horizon;
  await serveAll(
    tick,
    schedules.filter((one) => !isLate(one)),
  );
  await serveAll(tick, schedules.filter(isLate));
}

/** In rounds of one slot each, so that what one round asks of the server goes there together. */
async function serveAll(tick: Tick, schedules: readonly Schedule[]): Promise<void> {
  let due = schedules;
  while (due.length > 0 && tick.left > 0) {
    const round = due.slice(0, tick.left);
    const others = due.slice(tick.left);
    tick.left -= round.length;
    // All of them end before this one does, whatever becomes of one.
    const outcomes = await Promise.allSettled(round.map((schedule) => serve(tick, schedule)));
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed) throw failed.reason;
    const goOn = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" && outcome.value ? [outcome.value] : [],
    );
    due = [...goOn.filter(({ progress }) => progress.nextRunAt <= tick.now), ...others];
  }
}

/** What it is now, if it goes on: its slot was served. */
async function serve(tick: Tick, schedule: Schedule): Promise<Schedule | undefined> {
  const { cron, tz, scheduleId } = schedule.item;
  let times: Timetable;
  try {
    times = timetable(cron, tz);
  } catch (error) {
    const told = { type: "tick_error", scheduleId, message: messageOf(error) } as const;
    return hold(tick, schedule, { why: "broken", untilAt: tick.now + BROKEN_REST_MS }, [[told, "tickErrors"]]);
  }
  const late = schedule.progress.nextRunAt <= tick.horizon;
  const next = await serveSlot(tick, { schedule, times }, late);
  if (next && late) tick.backlog.set(scheduleId, (tick.backlog.get(scheduleId) ?? 0) + 1);
  return next;
}

async function serveSlot(tick: Tick, served: Served, late: boolean): Promise<Schedule | undefined> {
  const { leader, seed, config, horizon, backlog } = tick;
  const { schedule } = served;
  const { misfire, maxCatchUpRuns, overlap, scheduleId } = schedule.item;
  const slot = schedule.progress.nextRunAt;
  if (late && misfire === "skip") return pass(tick, served, horizon, "misfire");
  if (late && misfire === "catch_up_all" && (backlog.get(scheduleId) ?? 0) >= maxCatchUpRuns) {
    return hold(tick, schedule, { why: "portion", untilAt: nextTickAt(tick) });
  }
  if (!(await hasHandler(tick, schedule))) return miss(tick, served);
  if (overlap === "skip" && (await isRunning(leader.tools, schedule))) return pass(tick, served, slot, "overlap");
  // Of a backlog that catches up with one run, this is it.
  const until = late && misfire === "catch_up_one" ? horizon : slot;
  let runId: string;
  try {
    const run = slotRun(originOf(leader.tools, seed, schedule), slot, config.scheduledJobKeyTtlMs);
    runId = await submit(leader.tools, schedule, run, leader.fence);
  } catch (error) {
    if (error instanceof Deposed) throw error;
    const code = error instanceof TabloomError ? error.code : undefined;
    if (code === "FENCED") throw new Deposed();
    if (code !== undefined && OUTAGES.includes(code)) throw error;
    return refused(tick, served, until, error);
  }
  const told = { type: "dispatch_submitted", scheduleId, slotTs: slot, runId } as const;
  const change = { ...advanced(served, until), lastRunAt: slot, lastRunId: runId };
  return write(tick, schedule, change, [[told, "dispatchSubmitted"]]);
}

function hasHandler({ leader, served }: Tick, schedule: Schedule): Promise<boolean> {
  const key = jobKeyOf(schedule.item);
  let known = served.get(key);
  if (known === undefined) served.set(key, (known = isServed(leader.tools, schedule)));
  return known;
}

/** At the first slot after `after`. */
function advanced({ schedule: { progress }, times }: Served, after: number): Partial<Progress> {
  return { nextRunAt: times.next(Math.max(progress.nextRunAt, after)), hold: undefined };
}

type Metrics = readonly (readonly [told: Told, count?: Count])[];

/** Unless it changed since it was read: then nothing happens, and it is read again. */
async function write(
  { leader, epoch }: Tick,
  { item, progress }: Schedule,
  change: Partial<Progress>,
  metrics: Metrics = [],
  dead?: string,
): Promise<Schedule | undefined> {
  const changed = { ...progress, ...change };
  const revision = await leader.tools.ask(steps.advance, {
    epoch,
    scheduleId: item.scheduleId,
    revision: progress.revision,
    progress: changed,
    metrics: metrics.map(([told]) => leader.text(told)),
    ...(dead === undefined ? {} : { dead }),
  });
  if (revision < 0) throw new Deposed();
  if (revision === 0) return undefined;
  for (const [, count] of metrics) if (count) leader.counters[count]++;
  return { item, progress: { ...changed, revision } };
}

/** Leaves out slots up to `until`. */
function pass(tick: Tick, served: Served, until: number, reason: "misfire" | "overlap"): Promise<Schedule | undefined> {
  const { item, progress } = served.schedule;
  const about = { scheduleId: item.scheduleId, slotTs: progress.nextRunAt, reason };
  const told = { type: "dispatch_skipped", ...about } as const;
  return write(tick, served.schedule, advanced(served, until), [[told, "dispatchSkipped"]]);
}

/** Later in any case: what is due again at once would never let go. */
function nextTickAt({ now, config }: Tick): number {
  return now + Math.max(1, config.tickMs);
}

async function hold(
  tick: Tick,
  schedule: Schedule,
  change: Pick<Hold, "why" | "untilAt"> & Partial<Hold>,
  metrics: Metrics = [],
): Promise<undefined> {
  const slot = schedule.progress.nextRunAt;
  await write(tick, schedule, { hold: { slot, tries: 0, passes: 0, ...change } }, metrics);
}

/** The hold on the slot that is next. */
function holdOn({ progress: { hold, nextRunAt } }: Schedule): Hold | undefined {
  return hold?.slot === nextRunAt ? hold : undefined;
}

/**
 * Nobody would run it. The slot waits and is tried again; it is reported once. Not strict: as soon as a second look
 * finds no handler either, what is due is left out.
 */
async function miss(tick: Tick, served: Served): Promise<Schedule | undefined> {
  const { schedule } = served;
  const { scheduleId } = schedule.item;
  const known = holdOn(schedule)?.why === "unserved";
  const { strictHandlers } = tick.config;
  if (known && !strictHandlers) return write(tick, schedule, advanced(served, tick.now));
  const change = { why: "unserved", untilAt: nextTickAt(tick) } as const;
  if (known) return hold(tick, schedule, change);
  tick.missed ||= strictHandlers;
  const about = { scheduleId, slotTs: schedule.progress.nextRunAt, reason: "missing_handler" } as const;
  return hold(tick, schedule, change, [[{ type: "dispatch_skipped", ...about }, "dispatchSkipped"]]);
}

/** The job refuses: tries in growing distance make a pass; a pass that failed is in the dlq; after some the slot goes. */
async function refused(tick: Tick, served: Served, until: number, error: unknown): Promise<Schedule | undefined> {
  const { submitRetries, submitBackoffBaseMs, submitBackoffMaxMs, maxConsecutiveDispatchFailures } = tick.config;
  const { schedule } = served;
  const { tries, passes } = holdOn(schedule) ?? { tries: 0, passes: 0 };
  const about = { scheduleId: schedule.item.scheduleId, slotTs: schedule.progress.nextRunAt };
  const message = messageOf(error);
  const mayPass = error instanceof TabloomError && error.retryable;
  if (mayPass && tries < submitRetries) {
    const untilAt = tick.now + Math.min(submitBackoffMaxMs, submitBackoffBaseMs * 2 ** tries);
    const told = { type: "dispatch_retried", ...about, attempt: tries + 1, message } as const;
    return hold(tick, schedule, { why: "refused", untilAt, tries: tries + 1, passes }, [[told, "dispatchRetried"]]);
  }
  const givenUp = !mayPass || passes + 1 >= maxConsecutiveDispatchFailures;
  const waits: Hold = { slot: about.slotTs, why: "refused", untilAt: nextTickAt(tick), tries: 0, passes: passes + 1 };
  const dead = { ...about, message, ts: tick.now, schedulerId: tick.leader.tools.name.id, leaderEpoch: tick.epoch };
  const metrics: Metrics = [
    [{ type: "dispatch_dlq", ...about, message }, "dispatchDlq"],
    ...(givenUp ? [[{ type: "dispatch_advanced_after_failures", ...about }] as const] : []),
    [{ type: "dispatch_failed", ...about, message }, "dispatchFailed"],
  ];
  const change = givenUp ? advanced(served, until) : { hold: waits };
  const next = await write(tick, schedule, change, metrics, JSON.stringify(dead));
  return givenUp ? next : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
