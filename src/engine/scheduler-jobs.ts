import type { JobStatus } from "../protocol/commands.js";
import { type Origin, type ScheduledRun, manualRun, runItem, slotRun } from "../protocol/scheduled-run.js";
import type { Context } from "./primitive.js";
import type { Schedule, SchedulerState } from "./scheduler-state.js";

/** Submits the run of a slot; its id, or that of an earlier run of the same slot. Throws what the job refuses with. */
export function submitSlot(state: SchedulerState, schedule: Schedule, slot: number, ctx: Context): string {
  return submit(schedule, ctx, slotRun(originOf(state, schedule), slot, state.config.scheduledJobKeyTtlMs));
}

/** Submits a run that was asked for; with a key, once for that key. */
export function submitManual(
  state: SchedulerState,
  schedule: Schedule,
  asked: { runId: string; key?: string },
  ctx: Context,
): string {
  return submit(schedule, ctx, manualRun(originOf(state, schedule), asked));
}

/** Whether some living tab has a handle of the job that has begun to work, be it a producer. */
export function isServed({ definition: { job } }: Schedule, ctx: Context): boolean {
  // Asking creates what is asked, with settings that those who have its handle may have changed since.
  return ctx.has(job.name) && ctx.call(job, "job.stats", {}).handlers > 0;
}

const ENDS: readonly (JobStatus | undefined)[] = [undefined, "completed", "failed", "cancelled"];

/** Whether one of the last runs is still under way. */
export function isRunning({ definition: { job }, progress }: Schedule, ctx: Context): boolean {
  if (!ctx.has(job.name)) return false;
  const runs = [progress!.lastRunId, progress!.manualRunId].filter((jobId) => jobId !== "");
  return runs.some((jobId) => !ENDS.includes(ctx.call(job, "job.get", { jobId })?.status));
}

function submit({ definition }: Schedule, ctx: Context, run: ScheduledRun): string {
  return ctx.call(definition.job, "job.submit", runItem(definition, run)) ?? run.jobId;
}

function originOf({ name, seed }: SchedulerState, { id: scheduleId, definition: { serial } }: Schedule): Origin {
  return { name, seed, scheduleId, serial };
}
