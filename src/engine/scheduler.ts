/**
 * A scheduler: schedules that submit a job at each slot of a cron expression.
 *
 *               slot due, somebody has started
 *   waiting ──────────────────────────────────▶ submitted, advanced to the next slot ──▶ waiting
 *      ▲  │                                  └▶ left out (misfire, overlap) ──────────────┤
 *      │  └── pause ──▶ paused ── resume ──▶ next slot after now ─────────────────────────┤
 *      └── tickMs ── on hold (handler missing, submit refused, portion used up) ◀─────────┘
 *
 * One slot is one turn: its submit and the advance past it are both kept, or neither. What is on time, what is backlog,
 * and what each death leaves: docs/decisions/0008-scheduler.md.
 */
import type { Body, Reply, ScheduleInfo, SchedulerMetrics } from "../protocol/commands.js";
import { ValidationError, toWire } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import { instanceKey } from "../protocol/names.js";
import { checkMeta } from "../protocol/scheduled-run.js";
import { NEVER, timetable } from "../cron/cron.js";
import type { Context, Primitive } from "./primitive.js";
import { dispatch, report } from "./scheduler-dispatch.js";
import { isServed, submitManual } from "./scheduler-jobs.js";
import {
  type Schedule,
  type SchedulerState,
  createState,
  definitions,
  holds,
  infoOf,
  jobKeyOf,
  marks,
  progresses,
  restore,
  starts,
  timetableOf,
} from "./scheduler-state.js";

const MAX_PREVIEW = 1000;
const NO_PROGRESS = { lastRunAt: null, lastRunId: "", manualRunId: "", paused: false };

export const scheduler: Primitive<SchedulerState, "scheduler"> = {
  kind: "scheduler",
  create: createState,
  configure(state, config) {
    state.config = config;
  },
  restore,
  dueAt: (state) => (state.started.size > 0 ? Math.max(state.due.dueAt(), state.counters.restsUntil) : Infinity),
  wake(state, ctx) {
    if (state.started.size > 0 && state.counters.restsUntil <= ctx.now) dispatch(state, ctx);
  },
  release(state, { owner }, ctx) {
    for (const [handleId, by] of [...state.started]) if (by === owner) stop(state, handleId, "tab_gone", ctx);
  },
  // Who has started is told anew to every hub.
  owners: () => [],
  peek: (state, limit) =>
    inOrder(state)
      .slice(0, limit)
      .map((info) => ({ ...info })) as unknown as Json[],
  rules: {
    "scheduler.start": {
      run(state, { handleId }, ctx) {
        start(state, handleId, ctx);
        return null;
      },
    },
    "scheduler.stop": {
      run(state, { handleId }, ctx) {
        stop(state, handleId, "stop", ctx);
        return null;
      },
    },
    "scheduler.register": {
      run: register,
      recall: () => ({ created: false, updated: true }),
      usual: ({ created }) => !created,
    },
    "scheduler.unregister": {
      run(state, { scheduleId }, ctx) {
        const known = state.schedules.has(scheduleId);
        ctx.put(progresses, scheduleId, undefined);
        ctx.put(definitions, scheduleId, undefined);
        report(state, ctx, { type: "schedule_unregistered", scheduleId });
        return known;
      },
      recall: () => true,
      usual: (known) => known,
    },
    "scheduler.trigger": {
      run: trigger,
      recall: () => null,
      usual: (reply) => reply === null,
    },
    "scheduler.get": {
      run(state, { scheduleId }) {
        const schedule = state.schedules.get(scheduleId);
        return schedule ? infoOf(schedule) : null;
      },
    },
    "scheduler.list": { run: inOrder },
    "scheduler.preview": { run: preview },
    "scheduler.pause": {
      run: (state, { scheduleId }, ctx) => setPaused(state, scheduleId, true, ctx),
      recall: () => true,
      usual: (known) => known,
    },
    "scheduler.resume": {
      run: (state, { scheduleId }, ctx) => setPaused(state, scheduleId, false, ctx),
      recall: () => true,
      usual: (known) => known,
    },
    "scheduler.metrics": { run: metrics },
    "scheduler.listDead": {
      run: (state, { limit }) =>
        Array.from(state.dead, ({ scheduleId, slotTs, message, ts, leaderEpoch }) => ({
          scheduleId,
          slotTs,
          message,
          ts,
          schedulerId: state.name.id,
          leaderEpoch,
        }))
          .reverse()
          .slice(0, limit),
    },
    "scheduler.stats": {
      run: (state) => ({ schedules: state.schedules.size, started: state.started.size, dead: state.dead.length }),
    },
  },
};

/** The first handle that starts makes this hub the leader. */
function start(state: SchedulerState, handleId: string, ctx: Context): void {
  const leads = state.started.size === 0;
  // First the row: who has started is undone with it, and told again.
  if (leads) ctx.put(marks, "marks", { ...state.marks, epoch: state.marks.epoch + 1 });
  ctx.put(starts, handleId, ctx.owner);
  if (leads) report(state, ctx, { type: "leader_acquired", leaderEpoch: state.marks.epoch }, "leaderChanges");
}

function stop(state: SchedulerState, handleId: string, reason: "stop" | "tab_gone", ctx: Context): void {
  if (!state.started.has(handleId)) return;
  ctx.put(starts, handleId, undefined);
  if (state.started.size > 0) return;
  report(state, ctx, { type: "leader_lost", leaderEpoch: state.marks.epoch, reason }, "leaderChanges");
}

function register(
  state: SchedulerState,
  { scheduleId, ...given }: Body<"scheduler.register">,
  ctx: Context,
): Reply<"scheduler.register"> {
  const { next } = timetable(given.cron, given.tz);
  checkMeta(given.meta);
  const schedule = state.schedules.get(scheduleId);
  const created = schedule === undefined;
  if (created) {
    const serial = state.marks.serial + 1;
    ctx.put(marks, "marks", { ...state.marks, serial });
    ctx.put(definitions, scheduleId, { ...given, serial, createdAt: ctx.now, updatedAt: ctx.now });
    ctx.put(progresses, scheduleId, { ...NO_PROGRESS, nextRunAt: next(ctx.now) });
  } else {
    const { serial, createdAt, cron, tz } = schedule.definition;
    // Runs of another job cannot be looked up where the next ones go.
    const runs = jobKeyOf(schedule) === instanceKey(given.job.name) ? {} : { lastRunId: "", manualRunId: "" };
    const slot = cron === given.cron && tz === given.tz ? {} : { nextRunAt: next(ctx.now) };
    ctx.put(definitions, scheduleId, { ...given, serial, createdAt, updatedAt: ctx.now });
    ctx.put(progresses, scheduleId, { ...schedule.progress!, ...runs, ...slot });
    // Whoever registers brings a handler.
    const { hold } = schedule;
    if (hold?.why === "unserved") ctx.put(holds, scheduleId, { ...hold, untilAt: Math.min(hold.untilAt, ctx.now) });
  }
  report(state, ctx, { type: "schedule_registered", scheduleId, created });
  if (!created) report(state, ctx, { type: "schedule_updated", scheduleId });
  return { created, updated: !created };
}

/** Rejections are replies: they are counted, and what throws has no effect. */
function trigger(
  state: SchedulerState,
  { scheduleId, runId: asked, key }: Body<"scheduler.trigger">,
  ctx: Context,
): Reply<"scheduler.trigger"> {
  const schedule = state.schedules.get(scheduleId);
  const reason = schedule === undefined ? "missing_schedule" : "missing_handler";
  if (schedule === undefined || !isServed(schedule, ctx)) {
    report(state, ctx, { type: "trigger_rejected", scheduleId, reason }, "triggerRejected");
    return { rejected: reason };
  }
  let runId: string;
  try {
    runId = submitManual(state, schedule, { runId: asked, ...(key === undefined ? {} : { key }) }, ctx);
  } catch (error) {
    const failed = toWire(error);
    report(state, ctx, { type: "trigger_failed", scheduleId, message: failed.message }, "triggerFailed");
    return { failed };
  }
  if (schedule.definition.overlap === "skip") {
    ctx.put(progresses, scheduleId, { ...schedule.progress!, manualRunId: runId });
  }
  report(state, ctx, { type: "trigger_submitted", scheduleId, runId }, "triggerSubmitted");
  return runId === asked ? null : { duplicateOf: runId };
}

function setPaused(state: SchedulerState, scheduleId: string, paused: boolean, ctx: Context): boolean {
  const schedule = state.schedules.get(scheduleId);
  if (schedule === undefined) return false;
  const progress = schedule.progress!;
  if (progress.paused === paused) return true;
  // Slots of the pause are not made up for.
  const nextRunAt = paused || progress.nextRunAt > ctx.now ? progress.nextRunAt : timetableOf(schedule).next(ctx.now);
  ctx.put(progresses, scheduleId, { ...progress, paused, nextRunAt });
  return true;
}

function preview(state: SchedulerState, body: Body<"scheduler.preview">, ctx: Context): number[] {
  const { next } = "cron" in body ? timetable(body.cron, body.tz) : timetableOf(known(state, body.scheduleId));
  const count = Math.min(body.count, MAX_PREVIEW);
  const slots: number[] = [];
  for (let slot = ctx.now; slots.length < count && (slot = next(slot)) < NEVER;) slots.push(slot);
  return slots;
}

function known(state: SchedulerState, scheduleId: string): Schedule {
  const schedule = state.schedules.get(scheduleId);
  if (schedule === undefined) throw new ValidationError(`there is no schedule ${JSON.stringify(scheduleId)}`);
  return schedule;
}

function metrics(state: SchedulerState, { handleId }: Body<"scheduler.metrics">): SchedulerMetrics {
  const { restsUntil: _restsUntil, ...counts } = state.counters;
  return { isLeader: state.started.has(handleId), leaderEpoch: state.marks.epoch, ...counts };
}

function inOrder(state: SchedulerState): ScheduleInfo[] {
  return Array.from(state.schedules.values(), infoOf).sort((a, b) => byCodePoint(a.id, b.id));
}

/** JavaScript compares units of UTF-16, where the astral planes stand before U+E000. */
function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [one, other] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (one !== other) return rank(one) - rank(other);
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit;
}
