import type { Count, DueSlot, Told, Verdict } from "../cron/slot-rules.js";
import * as rules from "../cron/slot-rules.js";
import type { SchedulerMetric } from "../protocol/commands.js";
import type { Context } from "./primitive.js";
import { isRunning, isServed, submitSlot } from "./scheduler-jobs.js";
import {
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

/** Counts, and tells those who listen. Comes after the changes that it is about, to be undone with them. */
export function report(state: SchedulerState, ctx: Context, told: Told, counter?: Count): void {
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
  const tick: Tick = { state, ctx, served: new Map(), horizon: rules.horizonOf(ctx.now, state.config) };
  const due = new Set<Schedule>();
  for (let schedule; (schedule = state.due.take(ctx.now));) due.add(schedule);
  if (due.size === 0) return;
  const isLate = ({ progress }: Schedule): boolean => progress!.nextRunAt <= tick.horizon;
  let left = state.config.maxSubmitsPerTick;
  for (const schedule of [...[...due].filter((one) => !isLate(one)), ...[...due].filter(isLate)]) {
    if (left > 0) left -= serve(tick, schedule, left);
    else plan(state, schedule);
  }
  const restsUntil = left > 0 ? 0 : rules.nextTickAt(ctx.now, state.config);
  ctx.put(counters, "counters", { ...state.counters, lastTickAt: ctx.now, restsUntil });
}

/** Serves slots of a schedule that are due, at most so many; how many it looked at. */
function serve(tick: Tick, schedule: Schedule, limit: number): number {
  try {
    timetableOf(schedule);
  } catch (error) {
    apply(tick, schedule, rules.broken(slotOf(tick, schedule), error));
    return 1;
  }
  let [used, backlog] = [0, 0];
  while (used < limit && schedule.progress!.nextRunAt <= tick.ctx.now) {
    used++;
    const wasLate = schedule.progress!.nextRunAt <= tick.horizon;
    if (!apply(tick, schedule, serveSlot(tick, schedule, backlog))) break;
    if (wasLate) backlog++;
  }
  return used;
}

/** `backlog`: late slots that this tick served. */
function serveSlot(tick: Tick, schedule: Schedule, backlog: number): Verdict {
  const { state, ctx } = tick;
  const { definition } = schedule;
  const slot = slotOf(tick, schedule);
  const late = rules.misfire(slot, definition, backlog);
  if (late) return late;
  if (!hasHandler(tick, schedule)) return rules.unserved(slot);
  if (definition.overlap === "skip" && isRunning(schedule, ctx)) return rules.overlapping(slot);
  try {
    return rules.submitted(slot, definition, submitSlot(state, schedule, slot.slotTs, ctx));
  } catch (error) {
    return rules.refused(slot, definition, error);
  }
}

function slotOf({ state: { config }, ctx: { now } }: Tick, { id, progress, hold }: Schedule): DueSlot {
  return { scheduleId: id, slotTs: progress!.nextRunAt, hold, now, config };
}

function hasHandler({ ctx, served }: Tick, schedule: Schedule): boolean {
  const key = jobKeyOf(schedule);
  let known = served.get(key);
  if (known === undefined) served.set(key, (known = isServed(schedule, ctx)));
  return known;
}

/** false: the slot stays where it is, and the schedule is on hold. */
function apply({ state, ctx }: Tick, schedule: Schedule, verdict: Verdict): boolean {
  const progress = schedule.progress!;
  const { nextRunAt: slotTs } = progress;
  if (verdict.dead !== undefined) bury(state, ctx, { scheduleId: schedule.id, slotTs, message: verdict.dead });
  if (verdict.hold) ctx.put(holds, schedule.id, verdict.hold);
  else {
    const nextRunAt = timetableOf(schedule).next(Math.max(slotTs, verdict.until));
    const run = verdict.runId === undefined ? {} : { lastRunAt: slotTs, lastRunId: verdict.runId };
    ctx.put(progresses, schedule.id, { ...progress, ...run, nextRunAt });
  }
  for (const [told, count] of verdict.reports) report(state, ctx, told, count);
  return verdict.hold === undefined;
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
