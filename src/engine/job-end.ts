import type { JobBackoff, JobError, JobOutcome } from "../protocol/commands.js";
import { append } from "./job-log.js";
import type { DonePlace, Job, JobState, Place, RunningPlace, Tried } from "./job-state.js";
import { jobs, keys, places, progresses, steps } from "./job-tables.js";
import type { Context } from "./primitive.js";

type End = Pick<JobOutcome, "status" | "result" | "error">;

/** The last change of a job: state, key, event. Whoever held it has lost it. */
export function settle(
  state: JobState,
  job: Job,
  { status, result, error }: End,
  ctx: Context,
  { failures, crashes, claimedAt }: Tried = job.place!,
): void {
  const done: DonePlace = {
    at: "done",
    n: state.next++,
    status,
    finishedAt: ctx.now,
    result,
    failures,
    crashes,
    error,
    claimedAt,
  };
  ctx.put(places, job, done);
  // What failed may be retried, and then goes on after its last step.
  if (status !== "failed") dropSteps(job, ctx);
  if (job.key !== undefined) renewKey(state, job, job.key, ctx);
  if (status === "completed") append(state, job.jobId, { type: "completed", attempt: failures + 1 }, ctx);
  else if (status === "failed") append(state, job.jobId, { type: "failed", attempt: failures, error: error! }, ctx);
  else append(state, job.jobId, { type: "cancelled", ...(error ? { reason: error.message } : {}) }, ctx);
}

/** A key names its job for its whole time, counted from the last claim: a long delay must not use it up. */
function renewKey(state: JobState, { jobId, keyTtlMs, place }: Job, key: string, ctx: Context): void {
  const known = state.keys.get(key);
  if (known?.jobId !== jobId) return;
  const { claimedAt } = place!;
  // Put anew in any case: while the job was live, nothing watched for the key's end.
  ctx.put(keys, key, { jobId, untilAt: Math.max(known.untilAt, claimedAt > 0 ? claimedAt + keyTtlMs : 0) });
}

/** Removes a job that is done, and all that is known of it. */
export function forget(job: Job, ctx: Context): void {
  dropSteps(job, ctx);
  ctx.put(progresses, job, undefined);
  ctx.put(places, job, undefined);
  ctx.put(jobs, job, undefined);
}

function dropSteps(job: Job, ctx: Context): void {
  for (const index of [...(job.steps?.keys() ?? [])]) ctx.put(steps, { job, index }, undefined);
}

/** An attempt that failed: the next one, or the end. */
export function failAttempt(state: JobState, job: Job, error: JobError, retry: boolean, ctx: Context): void {
  const failures = job.place!.failures + 1;
  const { crashes, claimedAt } = job.place!;
  const tried = { failures, crashes, claimedAt, error };
  if (!retry || failures >= job.maxAttempts) return settle(state, job, { status: "failed", error }, ctx, tried);
  const delayMs = backoffMs(job.backoff, failures, job.jobId);
  const nextAt = ctx.now + delayMs;
  const next: Place =
    delayMs > 0
      ? { at: "delayed", dueAt: nextAt, retry: true, ...tried }
      : { at: "ready", order: state.next++, readyAt: ctx.now, asleep: undefined, ...tried };
  ctx.put(places, job, next);
  append(state, job.jobId, { type: "retry", attempt: failures, error, nextAt }, ctx);
}

/** Its owner died: back to where it was, or the end. */
export function crash(state: JobState, job: Job, place: RunningPlace, ctx: Context): void {
  const crashes = place.crashes + 1;
  append(state, job.jobId, { type: "crashed", crashes }, ctx);
  if (crashes <= state.config.maxCrashes) return giveBack(job, { ...place, crashes }, ctx);
  const message = `its owner died ${crashes} times while it ran`;
  settle(state, job, { status: "failed", error: { message, code: "CRASHED" } }, ctx, { ...place, crashes });
}

/** As if it had not been claimed. */
export function giveBack(job: Job, place: RunningPlace, ctx: Context): void {
  const { order, readyAt, failures, crashes, error, claimedAt } = place;
  ctx.put(places, job, {
    at: "ready",
    order,
    readyAt,
    asleep: undefined,
    failures,
    crashes,
    error,
    claimedAt,
  });
}

/** So that the time it is due remains a safe number. */
const LONGEST_MS = Number.MAX_SAFE_INTEGER / 2;

function backoffMs(backoff: JobBackoff | undefined, failures: number, jobId: string): number {
  if (backoff === undefined) return 0;
  const { kind, baseMs, jitter = 0 } = backoff;
  const longest = Math.min(kind === "exp" ? (backoff.maxMs ?? LONGEST_MS) : LONGEST_MS, LONGEST_MS);
  const ms = Math.min(kind === "exp" ? baseMs * 2 ** Math.min(failures - 1, 1000) : baseMs, longest);
  if (jitter === 0) return ms;
  return Math.min(longest, Math.floor(ms * (1 + jitter * (fraction(`${jobId}#${failures}`) * 2 - 1))));
}

/** From 0 to 1, always the same for this text: FNV-1a, its bits mixed once more as in MurmurHash3. */
function fraction(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
