import type { SchedulerMetric } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import type { Context } from "./primitive.js";
import { isRunning, isServed, submitSlot } from "./scheduler-jobs.js";
import {
  type Counters,
  type Hold,
  type Progress,
  type Schedule,
  type SchedulerState,
  counters,
  deadEntries,
  holds,
  jobKeyOf,
  plan,
  progresses,
  timetableOf,
} from "./scheduler-state.js";

/** How long a schedule rests whose zone this browser does not know any more. */
const BROKEN_REST_MS = 3_600_000;

type Untold<M> = M extends unknown ? Omit<M, "ts" | "schedulerId"> : never;

/** Counts, and tells those who listen. Comes after the changes that it is about, to be undone with them. */
export function report(
  state: SchedulerState,
  ctx: Context,
  told: Untold<SchedulerMetric>,
  counter?: Exclude<keyof Counters, "lastTickAt">,
): void {
  if (counter) ctx.put(counters, "counters", { ...state.counters, [counter]: state.counters[counter] + 1 });
  const metric = { ...told, ts: ctx.now, schedulerId: state.name.id } as SchedulerMetric;
  ctx.emit({ type: "scheduler.metric", metric }, 0);
}

/** One look at what is due. */
interface Tick {
  readonly state: SchedulerState;
  readonly ctx: Context;
  /** By job: whether it has a handler. */
  readonly served: Map<string, boolean>;
  /** Slots up to here are backlog, those after it are on time. */
  readonly horizon: number;
}

/** Runs what is due: first what is on time, then backlog, longest unserved first; no more than one tick may. */
export function dispatch(state: SchedulerState, ctx: Context): void {
  const { tickMs, graceMs, maxSubmitsPerTick } = state.config;
  // A slot is never backlog because of the scheduler's own pace.
  const tick: Tick = { state, ctx, served: new Map(), horizon: ctx.now - Math.max(graceMs, tickMs) - 1 };
  const due = new Set<Schedule>();
  for (let schedule; (schedule = state.due.take(ctx.now));) due.add(schedule);
  if (due.size === 0) return;
  const isLate = ({ progress }: Schedule): boolean => progress!.nextRunAt <= tick.horizon;
  let left = maxSubmitsPerTick;
  for (const schedule of [...[...due].filter((one) => !isLate(one)), ...[...due].filter(isLate)]) {
    if (left > 0) left -= serve(tick, schedule, left);
    else plan(state, schedule);
  }
  const restsUntil = left > 0 ? 0 : nextTickAt(tick);
  ctx.put(counters, "counters", { ...state.counters, lastTickAt: ctx.now, restsUntil });
}

/** Serves slots of a schedule that are due, at most so many; how many it looked at. */
function serve(tick: Tick, schedule: Schedule, limit: number): number {
  const { ctx } = tick;
  try {
    timetableOf(schedule);
  } catch (error) {
    hold(tick, schedule, { why: "broken", untilAt: ctx.now + BROKEN_REST_MS });
    report(tick.state, ctx, { type: "tick_error", scheduleId: schedule.id, message: messageOf(error) }, "tickErrors");
    return 1;
  }
  let [used, backlog] = [0, 0];
  while (used < limit && schedule.progress!.nextRunAt <= ctx.now) {
    used++;
    const wasLate = schedule.progress!.nextRunAt <= tick.horizon;
    if (!serveSlot(tick, schedule, backlog)) break;
    if (wasLate) backlog++;
  }
  return used;
}

/** false: the slot stays where it is, and the schedule is on hold. `backlog`: late slots that this tick served. */
function serveSlot(tick: Tick, schedule: Schedule, backlog: number): boolean {
  const { state, ctx, horizon } = tick;
  const { misfire, maxCatchUpRuns, overlap } = schedule.definition;
  const slot = schedule.progress!.nextRunAt;
  const late = slot <= horizon;
  if (late && misfire === "skip") return pass(tick, schedule, horizon, "misfire");
  if (late && misfire === "catch_up_all" && backlog >= maxCatchUpRuns) {
    return hold(tick, schedule, { why: "portion", untilAt: nextTickAt(tick) });
  }
  if (!hasHandler(tick, schedule)) return miss(tick, schedule);
  if (overlap === "skip" && isRunning(schedule, ctx)) return pass(tick, schedule, slot, "overlap");
  // Of a backlog that catches up with one run, this is it.
  const until = late && misfire === "catch_up_one" ? horizon : slot;
  let runId: string;
  try {
    runId = submitSlot(state, schedule, slot, ctx);
  } catch (error) {
    return refused(tick, schedule, until, error);
  }
  advance(tick, schedule, until, { lastRunAt: slot, lastRunId: runId });
  const told = { type: "dispatch_submitted", scheduleId: schedule.id, slotTs: slot, runId } as const;
  report(state, ctx, told, "dispatchSubmitted");
  return true;
}

function hasHandler({ ctx, served }: Tick, schedule: Schedule): boolean {
  const key = jobKeyOf(schedule);
  let known = served.get(key);
  if (known === undefined) served.set(key, (known = isServed(schedule, ctx)));
  return known;
}

/** To the first slot after `after`. */
function advance({ ctx }: Tick, schedule: Schedule, after: number, change: Partial<Progress> = {}): true {
  const progress = schedule.progress!;
  const nextRunAt = timetableOf(schedule).next(Math.max(progress.nextRunAt, after));
  ctx.put(progresses, schedule.id, { ...progress, ...change, nextRunAt });
  return true;
}

/** Leaves out slots up to `until`. */
function pass(tick: Tick, schedule: Schedule, until: number, reason: "misfire" | "overlap"): true {
  const slotTs = schedule.progress!.nextRunAt;
  advance(tick, schedule, until);
  report(
    tick.state,
    tick.ctx,
    { type: "dispatch_skipped", scheduleId: schedule.id, slotTs, reason },
    "dispatchSkipped",
  );
  return true;
}

/** Later in any case: what is due again at once would never let go. */
function nextTickAt({ state, ctx }: Tick): number {
  return ctx.now + Math.max(1, state.config.tickMs);
}

function hold(tick: Tick, schedule: Schedule, change: Pick<Hold, "why" | "untilAt"> & Partial<Hold>): false {
  const slot = schedule.progress!.nextRunAt;
  tick.ctx.put(holds, schedule.id, { slot, tries: 0, passes: 0, ...change });
  return false;
}

/** The hold on the slot that is next. */
function holdOn({ hold, progress }: Schedule): Hold | undefined {
  return hold?.slot === progress!.nextRunAt ? hold : undefined;
}

/**
 * Nobody would run it. The slot waits and is tried again; it is reported once. Not strict: as soon as a second look
 * finds no handler either, what is due is left out.
 */
function miss(tick: Tick, schedule: Schedule): boolean {
  const { state, ctx } = tick;
  const known = holdOn(schedule)?.why === "unserved";
  if (known && !state.config.strictHandlers) return advance(tick, schedule, ctx.now);
  hold(tick, schedule, { why: "unserved", untilAt: nextTickAt(tick) });
  if (known) return false;
  const slotTs = schedule.progress!.nextRunAt;
  const told = { type: "dispatch_skipped", scheduleId: schedule.id, slotTs, reason: "missing_handler" } as const;
  report(state, ctx, told, "dispatchSkipped");
  return false;
}

/** The job refuses: tries in growing distance make a pass; a pass that failed is in the dlq; after some the slot goes. */
function refused(tick: Tick, schedule: Schedule, until: number, error: unknown): boolean {
  const { state, ctx } = tick;
  const { submitRetries, submitBackoffBaseMs, submitBackoffMaxMs, maxConsecutiveDispatchFailures } = state.config;
  const { tries, passes } = holdOn(schedule) ?? { tries: 0, passes: 0 };
  const about = { scheduleId: schedule.id, slotTs: schedule.progress!.nextRunAt };
  const message = messageOf(error);
  const mayPass = error instanceof TabloomError && error.retryable;
  if (mayPass && tries < submitRetries) {
    const backoffMs = Math.min(submitBackoffMaxMs, submitBackoffBaseMs * 2 ** tries);
    hold(tick, schedule, { why: "refused", untilAt: ctx.now + backoffMs, tries: tries + 1, passes });
    report(state, ctx, { type: "dispatch_retried", ...about, attempt: tries + 1, message }, "dispatchRetried");
    return false;
  }
  const givenUp = !mayPass || passes + 1 >= maxConsecutiveDispatchFailures;
  bury(state, ctx, { ...about, message });
  if (givenUp) advance(tick, schedule, until);
  else hold(tick, schedule, { why: "refused", untilAt: nextTickAt(tick), passes: passes + 1 });
  report(state, ctx, { type: "dispatch_dlq", ...about, message }, "dispatchDlq");
  if (givenUp) report(state, ctx, { type: "dispatch_advanced_after_failures", ...about });
  report(state, ctx, { type: "dispatch_failed", ...about, message }, "dispatchFailed");
  return givenUp;
}

function bury(
  state: SchedulerState,
  ctx: Context,
  about: { scheduleId: string; slotTs: number; message: string },
): void {
  const { dead, marks, config } = state;
  const n = (dead.last()?.n ?? 0) + 1;
  const entry = { ...about, n, ts: ctx.now, leaderEpoch: marks.epoch };
  ctx.put(deadEntries, entry, entry);
  while (dead.length > config.dlqMaxEntries) ctx.put(deadEntries, dead.first()!, undefined);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
