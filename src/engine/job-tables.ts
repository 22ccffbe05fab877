import type { JobBackoff, JobError, JobOutcome } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import {
  type Job,
  type JobHandle,
  type JobState,
  type Place,
  type RememberedKey,
  type Run,
  type Step,
  firstPlace,
  isFirstPlace,
  move,
} from "./job-state.js";
import type { Table } from "./primitive.js";

/** Jobs that are known: written when submitted, removed when nobody can ask for them any more. */
export const jobs: Table<JobState, Job, Job> = {
  letter: "j",
  key: (job) => job.seq,
  get: (_, job) => (job.place === undefined ? undefined : job),
  set(state, job, value) {
    if (value) state.byId.set(job.jobId, job);
    else state.byId.delete(job.jobId);
    move(state, job, value && firstPlace(job));
  },
  encode: (job) => [
    job.jobId,
    job.input,
    job.priority,
    job.maxAttempts,
    job.leaseMs,
    job.submittedAt,
    job.ageFrom,
    job.keyTtlMs,
    job.key ?? null,
    job.orderingKey ?? null,
    job.meta ?? null,
    (job.backoff ?? null) as Json,
  ],
};

export function decodeJob(seq: number, row: Json): Job {
  const [
    jobId,
    input,
    priority,
    maxAttempts,
    leaseMs,
    submittedAt,
    ageFrom,
    keyTtlMs,
    key,
    orderingKey,
    meta,
    backoff,
  ] = row as [
    string,
    string,
    number,
    number,
    number,
    number,
    number,
    number,
    string | null,
    string | null,
    string | null,
    JobBackoff | null,
  ];
  return {
    seq,
    jobId,
    input,
    priority,
    maxAttempts,
    leaseMs,
    submittedAt,
    ageFrom,
    keyTtlMs,
    key: key ?? undefined,
    orderingKey: orderingKey ?? undefined,
    meta: meta ?? undefined,
    backoff: backoff ?? undefined,
    place: undefined,
    steps: undefined,
    progress: undefined,
  };
}

/** Where a job stands, once that differs from where it was submitted to. Small: it is written at every turn of it. */
export const places: Table<JobState, Job, Place> = {
  letter: "p",
  key: (job) => job.seq,
  get: (_, job) => (job.place === undefined || isFirstPlace(job, job.place) ? undefined : job.place),
  set(state, job, value) {
    // A job that is not known has no place; its rows go together.
    if (job.place !== undefined) move(state, job, value ?? firstPlace(job));
  },
  encode(place) {
    const tried = [place.failures, place.crashes, place.claimedAt, encodeError(place.error)];
    switch (place.at) {
      case "ready":
        return [0, ...tried, place.order, place.readyAt, encodeRun(place.asleep)];
      case "delayed":
        return [1, ...tried, place.dueAt, place.retry ? 1 : 0];
      case "running": {
        const { run, leaseMs, leaseUntil, deadlineAt, order, readyAt, resumes } = place;
        return [2, ...tried, encodeRun(run), leaseMs, leaseUntil, deadlineAt, order, readyAt, resumes ?? null];
      }
      case "parked":
        return [3, ...tried, place.dueAt, place.kept ? 1 : 0, encodeRun(place.asleep)];
      case "done":
        return [4, ...tried, place.n, place.status, place.finishedAt, place.result ?? null];
    }
  },
};

export function decodePlace(row: Json): Place {
  const [at, failures, crashes, claimedAt, error, ...rest] = row as [number, number, number, number, Json, ...Json[]];
  const tried = { failures, crashes, claimedAt, error: decodeError(error) };
  switch (at) {
    case 0: {
      const [order, readyAt, asleep] = rest as [number, number, Json];
      return { at: "ready", ...tried, order, readyAt, asleep: decodeRun(asleep) };
    }
    case 1: {
      const [dueAt, retry] = rest as [number, number];
      return { at: "delayed", ...tried, dueAt, retry: retry === 1 };
    }
    case 2: {
      const [run, leaseMs, leaseUntil, deadlineAt, order, readyAt, resumes] = rest as [
        Json,
        number,
        number,
        number,
        number,
        number,
        string | null,
      ];
      const running = { leaseMs, leaseUntil, deadlineAt, order, readyAt, resumes: resumes ?? undefined };
      return { at: "running", ...tried, run: decodeRun(run)!, ...running };
    }
    case 3: {
      const [dueAt, kept, asleep] = rest as [number, number, Json];
      return { at: "parked", ...tried, dueAt, kept: kept === 1, asleep: decodeRun(asleep) };
    }
    default: {
      const [n, status, finishedAt, result] = rest as [number, JobOutcome["status"], number, string | null];
      return { at: "done", ...tried, n, status, finishedAt, result: result ?? undefined };
    }
  }
}

function encodeError(error: JobError | undefined): Json {
  return error === undefined ? null : [error.message, ...(error.code === undefined ? [] : [error.code])];
}

function decodeError(row: Json): JobError | undefined {
  if (row === null) return undefined;
  const [message, code] = row as [string, string?];
  return code === undefined ? { message } : { message, code };
}

function encodeRun(run: Run | undefined): Json {
  return run === undefined ? null : [run.runId, run.handleId, run.by, run.leftMs];
}

function decodeRun(row: Json): Run | undefined {
  if (row === null) return undefined;
  const [runId, handleId, by, leftMs] = row as [string, string, string, number];
  return { runId, handleId, by, leftMs };
}

/** A place in the order of steps of a job. */
export interface StepPlace {
  readonly job: Job;
  readonly index: number;
}

export const steps: Table<JobState, StepPlace, Step> = {
  letter: "s",
  key: ({ job, index }) => `${job.seq}/${index}`,
  get: (_, { job, index }) => job.steps?.get(index),
  set(_, { job, index }, value) {
    if (value !== undefined) (job.steps ??= new Map()).set(index, value);
    else if (job.steps?.delete(index) && job.steps.size === 0) job.steps = undefined;
  },
  encode: ({ stepId, value }) => [stepId, value],
};

export const progresses: Table<JobState, Job, string> = {
  letter: "o",
  key: (job) => job.seq,
  get: (_, job) => job.progress,
  set(_, job, value) {
    job.progress = value;
  },
  encode: (value) => value,
};

export const keys: Table<JobState, string, RememberedKey> = {
  letter: "k",
  key: (key) => key,
  get: (state, key) => state.keys.get(key),
  set(state, key, value) {
    if (value === undefined) state.keys.delete(key);
    else {
      state.keys.set(key, value);
      state.keysByEnd.add(value.untilAt, { key, remembered: value });
    }
  },
  encode: ({ jobId, untilAt }) => [jobId, untilAt],
};

export const pauseFlag: Table<JobState, "paused", true> = {
  letter: "f",
  key: (flag) => flag,
  get: (state) => (state.paused ? true : undefined),
  set(state, _, value) {
    state.paused = value === true;
  },
  encode: () => 1,
};

/** Who is there. A new hub is told anew. */
export const handles: Table<JobState, string, JobHandle> = {
  letter: "h",
  fleeting: true,
  key: (handleId) => handleId,
  get: (state, handleId) => state.handles.get(handleId),
  set(state, handleId, value) {
    const previous = state.handles.get(handleId);
    if (previous?.worker) state.workers[previous.hidden ? "hidden" : "visible"]--;
    if (value === undefined) state.handles.delete(handleId);
    else state.handles.set(handleId, value);
    if (value?.worker) state.workers[value.hidden ? "hidden" : "visible"]++;
  },
  encode: () => null,
};

/** Changes when what waits for a visible tab is offered to the hidden ones. */
export const offers: Table<JobState, "offer", number> = {
  letter: "v",
  fleeting: true,
  key: (only) => only,
  get: (state) => state.offeredAt,
  set(state, _, value) {
    state.offeredAt = value ?? 0;
  },
  encode: () => null,
};
