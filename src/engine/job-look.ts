import type { Body, JobOutcome, JobRecord, JobStats, Reply } from "../protocol/commands.js";
import { ValidationError } from "../protocol/errors.js";
import { storedSteps } from "./job-run.js";
import { type Job, type JobState, statusOf } from "./job-state.js";
import type { Context } from "./primitive.js";

function recordOf(job: Job): JobRecord {
  const { jobId, input, submittedAt, priority, maxAttempts, key, meta, orderingKey, progress } = job;
  const place = job.place!;
  const { failures, crashes, error } = place;
  return {
    jobId,
    status: statusOf(place),
    input,
    submittedAt,
    priority,
    maxAttempts,
    failures,
    crashes,
    steps: storedSteps(job).map(([, stepId]) => stepId),
    ...(key === undefined ? {} : { key }),
    ...(meta === undefined ? {} : { meta }),
    ...(orderingKey === undefined ? {} : { orderingKey }),
    ...(progress === undefined ? {} : { progress }),
    ...(error === undefined ? {} : { error }),
    ...(place.at === "delayed" || place.at === "parked" ? { dueAt: place.dueAt } : {}),
    ...(place.at === "running" ? { by: place.run.by, leaseUntil: place.leaseUntil } : {}),
    ...(place.at === "done" ? { finishedAt: place.finishedAt } : {}),
    ...(place.at === "done" && place.result !== undefined ? { result: place.result } : {}),
  };
}

export function get(state: JobState, { jobId }: Body<"job.get">): JobRecord | null {
  const job = state.byId.get(jobId);
  return job ? recordOf(job) : null;
}

/** In order of submission; `after` is the number of the last job of the page before. */
export function list(state: JobState, { status, limit, after = "0" }: Body<"job.list">): Reply<"job.list"> {
  if (status !== undefined && !(status in state.count))
    throw new ValidationError(`"${status}" is not a status of jobs`);
  const from = Number(after);
  const found = [...state.byId.values()].filter(
    ({ seq, place }) => seq > from && (status === undefined || statusOf(place!) === status),
  );
  // What an undo put back stands at the end.
  found.sort((a, b) => a.seq - b.seq);
  const page = found.slice(0, limit);
  return {
    entries: page.map(recordOf),
    ...(found.length > limit ? { next: String(page.at(-1)!.seq) } : {}),
  };
}

/** Jobs that run, then those that wait, then the others, at most so many. */
export function peek(state: JobState, limit: number): JobRecord[] {
  const found = new Set<Job>();
  for (const jobs of [state.byRun.values(), state.ready.list(), state.byId.values()]) {
    for (const job of jobs) {
      if (found.size >= limit) break;
      found.add(job);
    }
  }
  return Array.from(found, recordOf);
}

export function join(state: JobState, { jobId }: Body<"job.join">, ctx: Context): JobOutcome | undefined {
  const place = state.byId.get(jobId)?.place;
  if (place === undefined) {
    const error = { message: `there is no job ${jobId}, or no longer`, code: "UNKNOWN_JOB" };
    return { status: "failed", error, finishedAt: ctx.now };
  }
  if (place.at !== "done") return undefined;
  const { status, result, error, finishedAt } = place;
  return {
    status,
    finishedAt,
    ...(result === undefined ? {} : { result }),
    ...(error === undefined ? {} : { error }),
  };
}

export function stats(state: JobState, _: Body<"job.stats">, ctx: Context): JobStats {
  const { count, keys, paused, handles, workers } = state;
  return {
    ...count,
    waiters: ctx.waiters,
    keys: keys.size,
    paused,
    handlers: handles.size,
    workers: workers.visible + workers.hidden,
  };
}
