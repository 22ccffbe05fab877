import type { JobItem, JobStatus } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { base32 } from "../protocol/base32.js";
import { utf8Bytes } from "../protocol/json.js";
import type { Context } from "./primitive.js";
import type { Schedule, SchedulerState } from "./scheduler-state.js";

const SLOT_CHARS = 10;
const SEED_CHARS = 8;
const SERIAL_CHARS = 8;

/** The id of the run of a slot: always the same for it, and no other slot's of any scheduler. */
function runIdOf({ seed }: SchedulerState, { definition }: Schedule, slot: number): string {
  const origin = seed.padEnd(SEED_CHARS, "0").slice(0, SEED_CHARS);
  return base32(slot, SLOT_CHARS) + origin + base32(definition.serial, SERIAL_CHARS);
}

/** Submits the run of a slot; its id, or that of an earlier run of the same slot. Throws what the job refuses with. */
export function submitSlot(state: SchedulerState, schedule: Schedule, slot: number, ctx: Context): string {
  return submit(schedule, ctx, {
    jobId: runIdOf(state, schedule, slot),
    key: keyOf(state, ["slot", schedule.id, slot]),
    keyTtlMs: state.config.scheduledJobKeyTtlMs,
    at: slot,
    meta: { scheduleId: schedule.id, scheduleSlotTs: slot, schedulerId: state.name.id },
  });
}

/** Submits a run that was asked for; with a key, once for that key. */
export function submitManual(
  state: SchedulerState,
  schedule: Schedule,
  { runId: jobId, key }: { runId: string; key?: string },
  ctx: Context,
): string {
  const meta = { scheduleId: schedule.id, schedulerId: state.name.id, scheduleTrigger: "manual" };
  if (key === undefined) return submit(schedule, ctx, { jobId, meta });
  return submit(schedule, ctx, {
    jobId,
    key: keyOf(state, ["manual", schedule.id, key]),
    meta: { ...meta, scheduleManualKey: key },
  });
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

/** @throws `ValidationError` when it is not the JSON text of an object. */
export function checkMeta(meta: string | undefined): void {
  if (meta !== undefined && !/^\{.*\}$/s.test(meta)) throw new ValidationError("meta must be an object");
}

interface Run extends Pick<JobItem, "jobId" | "key" | "keyTtlMs" | "at"> {
  meta: Record<string, string | number>;
}

function submit({ definition }: Schedule, ctx: Context, { meta: own, ...run }: Run): string {
  const { job, item } = definition;
  const meta = merged(definition.meta, JSON.stringify(own));
  const earlier = ctx.call(job, "job.submit", { ...item, ...run, meta, bytes: item.bytes + utf8Bytes(meta) });
  return earlier ?? run.jobId;
}

/** One object of two, as texts: what users gave stays as it is. A name that both have is the second's. */
function merged(first: string | undefined, second: string): string {
  return first === undefined || first === "{}" ? second : `${first.slice(0, -1)},${second.slice(1)}`;
}

function keyOf({ name: { prefix, tenantId, id } }: SchedulerState, [what, ...rest]: [string, ...(string | number)[]]) {
  return JSON.stringify([what, prefix, tenantId, id, ...rest]);
}
