import type { SchedulerConfig } from "../protocol/commands.js";
import { TabloomError } from "../protocol/errors.js";
import { slotRun } from "../protocol/scheduled-run.js";
import { type Timetable, timetable } from "../cron/cron.js";
import type { DueSlot, Verdict } from "../cron/slot-rules.js";
import * as rules from "../cron/slot-rules.js";
import { isRunning, isServed, originOf, submit } from "./scheduler-jobs.js";
import { Deposed, type SchedulerResident } from "./scheduler-leader.js";
import { type Progress, type Schedule, jobKeyOf } from "./scheduler-rows.js";
import { type Page, steps } from "./scheduler-steps.js";

/** What says nothing of the run: it is as it was, and tried again when there is a server. */
const OUTAGES = ["OFFLINE", "INDETERMINATE", "CLOSED", "TIMEOUT", "ABORTED"];

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
    leader.restsUntil = rules.nextTickAt(page.now, page.config);
    if (tick.missed) await leader.makeWay();
    return leader.restsUntil - page.now;
  }
}

function nextTick(leader: SchedulerResident, epoch: number, page: Page, before: Tick | undefined): Tick {
  const { now, seed, config } = page;
  return {
    leader,
    epoch,
    now,
    seed,
    config,
    horizon: rules.horizonOf(now, config),
    served: before?.served ?? new Map(),
    backlog: before?.backlog ?? new Map(),
    left: before?.left ?? config.maxSubmitsPerTick,
    missed: before?.missed ?? false,
  };
}

async function servePage(tick: Tick, { schedules }: Page): Promise<void> {
  await serveAll(
    tick,
    schedules.filter((one) => !isLate(tick, one)),
  );
  await serveAll(
    tick,
    schedules.filter((one) => isLate(tick, one)),
  );
}

const isLate = ({ horizon }: Tick, { progress }: Schedule): boolean => progress.nextRunAt <= horizon;

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
  const { item, progress } = schedule;
  const { scheduleId } = item;
  const { now, config, backlog } = tick;
  const slot = { scheduleId, slotTs: progress.nextRunAt, hold: progress.hold, now, config };
  let times: Timetable;
  try {
    times = timetable(item.cron, item.tz);
  } catch (error) {
    return apply(tick, schedule, rules.broken(slot, error));
  }
  const served = backlog.get(scheduleId) ?? 0;
  const next = await apply(tick, schedule, await serveSlot(tick, schedule, slot, served), times);
  if (next && isLate(tick, schedule)) backlog.set(scheduleId, served + 1);
  return next;
}

/** `backlog`: late slots of the schedule that this tick served. */
async function serveSlot(tick: Tick, schedule: Schedule, slot: DueSlot, backlog: number): Promise<Verdict> {
  const { leader, seed, config } = tick;
  const { item } = schedule;
  const late = rules.misfire(slot, item, backlog);
  if (late) return late;
  if (!(await hasHandler(tick, schedule))) {
    const verdict = rules.unserved(slot);
    // Newly missing, and waited for: another process may have it.
    tick.missed ||= config.strictHandlers && verdict.reports.length > 0;
    return verdict;
  }
  if (item.overlap === "skip" && (await isRunning(leader.tools, schedule))) return rules.overlapping(slot);
  try {
    const run = slotRun(originOf(leader.tools, seed, schedule), slot.slotTs, config.scheduledJobKeyTtlMs);
    return rules.submitted(slot, item, await submit(leader.tools, schedule, run, leader.fence));
  } catch (error) {
    if (error instanceof Deposed) throw error;
    const code = error instanceof TabloomError ? error.code : undefined;
    if (code === "FENCED") throw new Deposed();
    if (code !== undefined && OUTAGES.includes(code)) throw error;
    return rules.refused(slot, item, error);
  }
}

function hasHandler({ leader, served }: Tick, schedule: Schedule): Promise<boolean> {
  const key = jobKeyOf(schedule.item);
  let known = served.get(key);
  if (known === undefined) served.set(key, (known = isServed(leader.tools, schedule)));
  return known;
}

/** What it is then, if it goes on. Unless it changed since it was read: then nothing happens, and it is read again. */
async function apply(
  { leader, epoch, now }: Tick,
  { item, progress }: Schedule,
  verdict: Verdict,
  times?: Timetable,
): Promise<Schedule | undefined> {
  const { scheduleId } = item;
  const { nextRunAt: slotTs } = progress;
  const changed = verdict.hold ? { ...progress, hold: verdict.hold } : advanced(progress, verdict, times!);
  const about = { scheduleId, slotTs, message: verdict.dead, ts: now };
  const dead = { ...about, schedulerId: leader.tools.name.id, leaderEpoch: epoch };
  const revision = await leader.tools.ask(steps.advance, {
    epoch,
    scheduleId,
    revision: progress.revision,
    progress: changed,
    metrics: verdict.reports.map(([told]) => leader.text(told)),
    ...(verdict.dead === undefined ? {} : { dead: JSON.stringify(dead) }),
  });
  if (revision < 0) throw new Deposed();
  if (revision === 0) return undefined;
  for (const [, count] of verdict.reports) if (count) leader.counters[count]++;
  return verdict.hold ? undefined : { item, progress: { ...changed, revision } };
}

function advanced(
  progress: Progress,
  { until, runId }: Extract<Verdict, { until: number }>,
  times: Timetable,
): Progress {
  const { nextRunAt: slotTs } = progress;
  const run = runId === undefined ? {} : { lastRunAt: slotTs, lastRunId: runId };
  return { ...progress, ...run, nextRunAt: times.next(Math.max(slotTs, until)), hold: undefined };
}
