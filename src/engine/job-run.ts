import type { Body, JobError, JobRun, StoredStep } from "../protocol/commands.js";
import { failAttempt, giveBack, settle } from "./job-end.js";
import { append } from "./job-log.js";
import {
  type Job,
  type JobState,
  type ParkedPlace,
  type ReadyPlace,
  type Run,
  type RunningPlace,
} from "./job-state.js";
import { handles, places, progresses, steps } from "./job-tables.js";
import type { Context, Rules } from "./primitive.js";

/** Sleeps that are longer free lease and slot. */
const PARKED_FROM_MS = 5000;
/** How long a job that slept is kept for the handler that slept. */
const KEPT_MS = 1000;
/** A hidden tab is handed what no visible one took for this long. */
const VISIBLE_FIRST_MS = 50;

type RunRules = Pick<
  Rules<JobState, "job">,
  | "job.claim"
  | "job.watch"
  | "job.heartbeat"
  | "job.progress"
  | "job.log"
  | "job.step"
  | "job.sleep"
  | "job.finish"
  | "job.release"
>;

/** What a handle does with the jobs that it runs. */
export const jobRunRules: RunRules = {
  "job.claim": {
    run: claim,
    waits: { lane: ({ handleId }) => handleId, none: () => [] },
  },
  "job.watch": {
    run: (state, { runId, jobId }) => (state.byRun.has(runId) ? undefined : causeOfLoss(state, jobId)),
    waits: { lane: ({ runId }) => runId, none: () => null },
  },
  "job.heartbeat": {
    run(state, { runId, leaseMs }, ctx) {
      const job = state.byRun.get(runId);
      if (job === undefined) return false;
      const { place } = job;
      if (place?.at !== "running") return true;
      if (leaseMs === undefined) extendLease(job, place, 0, ctx);
      else ctx.put(places, job, { ...place, leaseUntil: ctx.now + leaseMs });
      append(state, job.jobId, { type: "heartbeat", attempt: place.failures + 1 }, ctx);
      return true;
    },
  },
  "job.progress": {
    run(state, { runId, value }, ctx) {
      const job = active(state, runId, ctx);
      if (job === undefined) return false;
      ctx.put(progresses, job, value);
      append(state, job.jobId, { type: "progress", value }, ctx);
      return true;
    },
  },
  "job.log": {
    run(state, { runId, text }, ctx) {
      const job = state.byRun.get(runId);
      if (job) append(state, job.jobId, { type: "log", text }, ctx);
      return job !== undefined;
    },
  },
  "job.step": {
    run(state, { runId, index, stepId, value }, ctx) {
      const job = active(state, runId, ctx);
      if (job === undefined) return false;
      // Stored, but the answer was lost.
      if (job.steps?.has(index)) return true;
      ctx.put(steps, { job, index }, { stepId, value });
      append(state, job.jobId, { type: "step", stepId }, ctx);
      return true;
    },
  },
  "job.sleep": { run: sleep },
  "job.finish": {
    run(state, { runId, outcome }, ctx) {
      const job = state.byRun.get(runId);
      if (job === undefined) return false;
      if ("error" in outcome) failAttempt(state, job, outcome.error, outcome.retry, ctx);
      else settle(state, job, { status: "completed", result: outcome.result }, ctx);
      return true;
    },
  },
  "job.release": {
    run(state, { runIds }, ctx) {
      for (const runId of runIds) {
        const job = state.byRun.get(runId);
        if (job) handBack(state, job, ctx);
      }
      return null;
    },
  },
};

/** Takes a job from its run; nothing is counted. */
export function handBack(state: JobState, job: Job, ctx: Context): void {
  const place = job.place!;
  if (place.at === "running") giveBack(job, place, ctx);
  else if (place.at === "ready") ctx.put(places, job, { ...place, asleep: undefined });
  else if (place.at === "parked" && place.kept) awake(state, job, place, undefined, ctx);
  else if (place.at === "parked") ctx.put(places, job, { ...place, asleep: undefined });
}

/** A sleep is over: first it is kept for the handler that slept, then it is there for all. */
export function wakeUp(state: JobState, job: Job, place: ParkedPlace, ctx: Context): void {
  const { asleep, kept } = place;
  if (asleep && !kept) ctx.put(places, job, { ...place, kept: true, dueAt: ctx.now + KEPT_MS });
  else awake(state, job, place, asleep, ctx);
}

function awake(state: JobState, job: Job, place: ParkedPlace, asleep: Run | undefined, ctx: Context): void {
  const { failures, crashes, error, claimedAt } = place;
  const order = state.next++;
  ctx.put(places, job, { at: "ready", order, readyAt: ctx.now, asleep, failures, crashes, error, claimedAt });
}

function claim(state: JobState, body: Body<"job.claim">, ctx: Context): JobRun[] | undefined {
  const { handleId, max } = body;
  const runs: JobRun[] = [];
  const idOf = (i: number): string => (max === 1 ? body.runId : `${body.runId}.${i}`);
  state.seenAt = ctx.now;
  // A re-sent claim finds the runs that it began.
  for (let again; runs.length < max && (again = running(state, idOf(runs.length)));) runs.push(described(again));
  if (runs.length > 0) return runs;
  if (!state.handles.has(handleId)) {
    ctx.put(handles, handleId, { owner: ctx.owner, worker: true, hidden: false });
  }
  for (let job; runs.length < max && (job = nextFor(state, handleId, ctx.now));) {
    begin(state, job, idOf(runs.length), handleId, ctx);
    runs.push(described(job));
  }
  // Noted for the order in which claims are served; no more rests on it.
  if (runs.length === 0) state.idle.add(handleId);
  else state.idle.delete(handleId);
  return runs.length > 0 ? runs : undefined;
}

function running(state: JobState, runId: string): Job | undefined {
  const job = state.byRun.get(runId);
  return job?.place?.at === "running" ? job : undefined;
}

/** Whether a claim could get anything. */
export function isClaimable({ config: { globalConcurrency }, count, kept, paused }: JobState): boolean {
  if (paused || (globalConcurrency > 0 && count.running >= globalConcurrency)) return false;
  return count.submitted > 0 || kept.size > 0;
}

function nextFor(state: JobState, handleId: string, now: number): Job | undefined {
  if (!isClaimable(state)) return undefined;
  const kept = firstKept(state, handleId);
  if (kept) return kept;
  const job = state.ready.head(now);
  if (job === undefined || !mustWait(state, handleId)) return job;
  return now >= offeredToHidden(job) ? job : undefined;
}

/** Of those that slept in this handle, the one that has been due for longest. */
function firstKept(state: JobState, handleId: string): Job | undefined {
  let first: Job | undefined;
  for (const job of state.kept.get(handleId) ?? []) if (first === undefined || isDueBefore(job, first)) first = job;
  return first;
}

function isDueBefore(a: Job, b: Job): boolean {
  const difference = (a.place as ParkedPlace).dueAt - (b.place as ParkedPlace).dueAt;
  return difference < 0 || (difference === 0 && a.seq < b.seq);
}

/** Hidden tabs come second, and are frozen first. */
function mustWait(state: JobState, handleId: string): boolean {
  return state.workers.visible > 0 && state.handles.get(handleId)!.hidden;
}

function offeredToHidden(job: Job): number {
  return (job.place as ReadyPlace).readyAt + VISIBLE_FIRST_MS;
}

/** When the first job in line must be offered to hidden tabs, or Infinity. */
export function offerDueAt(state: JobState): number {
  if (state.workers.hidden === 0 || state.workers.visible === 0 || !isClaimable(state)) return Infinity;
  const job = state.ready.head(state.seenAt);
  const at = job ? offeredToHidden(job) : Infinity;
  return at > state.offeredAt ? at : Infinity;
}

function begin(state: JobState, job: Job, runId: string, handleId: string, ctx: Context): void {
  const { config } = state;
  const place = job.place as ReadyPlace | ParkedPlace;
  const { asleep, failures, crashes, error } = place;
  const resumed = asleep?.handleId === handleId && asleep.by === ctx.owner ? asleep : undefined;
  const boundMs = resumed && resumed.leftMs > 0 ? resumed.leftMs : config.timeoutMs;
  const running: RunningPlace = {
    at: "running",
    run: { runId, handleId, by: ctx.owner, leftMs: 0 },
    leaseMs: job.leaseMs,
    leaseUntil: ctx.now + job.leaseMs,
    deadlineAt: boundMs > 0 ? ctx.now + boundMs : 0,
    order: place.at === "ready" ? place.order : state.next++,
    readyAt: place.at === "ready" ? place.readyAt : ctx.now,
    resumes: resumed?.runId,
    failures,
    crashes,
    error,
    claimedAt: ctx.now,
  };
  ctx.put(places, job, running);
  append(state, job.jobId, { type: "started", attempt: failures + 1 }, ctx);
}

function described(job: Job): JobRun {
  const { run, resumes, failures, leaseMs } = job.place as RunningPlace;
  const described: JobRun = { runId: run.runId, jobId: job.jobId, input: job.input, attempt: failures + 1, leaseMs };
  if (job.key !== undefined) described.key = job.key;
  if (job.meta !== undefined) described.meta = job.meta;
  if (resumes !== undefined) described.resumes = resumes;
  // Who goes on knows them.
  else if (job.steps) described.steps = storedSteps(job);
  return described;
}

export function storedSteps({ steps: known }: Job): StoredStep[] {
  const stored = Array.from(known ?? [], ([index, { stepId, value }]): StoredStep => [index, stepId, value]);
  return stored.sort(([a], [b]) => a - b);
}

/** The job of a run that shows a sign of life: its lease begins anew. */
function active(state: JobState, runId: string, ctx: Context): Job | undefined {
  const job = state.byRun.get(runId);
  if (job?.place?.at === "running") extendLease(job, job.place, 0, ctx);
  return job;
}

/** Never earlier: a longer lease may have been asked for. */
function extendLease(job: Job, place: RunningPlace, byMs: number, ctx: Context): void {
  const leaseUntil = ctx.now + byMs + place.leaseMs;
  if (leaseUntil > place.leaseUntil) ctx.put(places, job, { ...place, leaseUntil });
}

function sleep(state: JobState, { runId, index, stepId, ms }: Body<"job.sleep">, ctx: Context) {
  const job = state.byRun.get(runId);
  if (job === undefined) return null;
  const place = job.place!;
  const stored = job.steps?.get(index)?.value;
  const untilAt = typeof stored === "number" ? stored : ctx.now + ms;
  const leftMs = Math.max(0, untilAt - ctx.now);
  // Asleep already: the answer was lost.
  if (place.at !== "running") return { leftMs, parked: true };
  if (stored === undefined) ctx.put(steps, { job, index }, { stepId, value: untilAt });
  if (leftMs <= PARKED_FROM_MS) {
    extendLease(job, place, leftMs, ctx);
    return { leftMs, parked: false };
  }
  const { run, deadlineAt, failures, crashes, error, claimedAt } = place;
  const asleep = { ...run, leftMs: deadlineAt > 0 ? Math.max(1, deadlineAt - ctx.now) : 0 };
  ctx.put(places, job, {
    at: "parked",
    dueAt: untilAt,
    kept: false,
    asleep,
    failures,
    crashes,
    error,
    claimedAt,
  });
  append(state, job.jobId, { type: "parked", untilAt }, ctx);
  return { leftMs, parked: true };
}

function causeOfLoss(state: JobState, jobId: string): JobError {
  const place = state.byId.get(jobId)?.place;
  if (place === undefined) return { message: "the job is not known any more", code: "UNKNOWN_JOB" };
  if (place.at === "done" && place.status === "cancelled") {
    return { message: place.error?.message ?? "the job was cancelled", code: "CANCELLED" };
  }
  if (place.error?.code === "TIMEOUT") return place.error;
  return { message: "the job was taken from this run", code: "LOST" };
}
