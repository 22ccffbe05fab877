import type { JobBackoff, JobConfig, JobError, JobOutcome, JobStatus } from "../protocol/commands.js";
import { DueHeap } from "./due-heap.js";
import { type LoggedJobEvent, createJobLog } from "./job-log.js";
import { Line } from "./line.js";
import type { Log } from "./log.js";
import { type Ready, createReady } from "./queue-ready.js";

/** What was submitted. Never changes; only its place, its steps and its progress do. */
export interface Job {
  readonly seq: number;
  readonly jobId: string;
  readonly input: string;
  readonly meta: string | undefined;
  readonly key: string | undefined;
  readonly keyTtlMs: number;
  readonly orderingKey: string | undefined;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly backoff: JobBackoff | undefined;
  readonly leaseMs: number;
  readonly submittedAt: number;
  /** When it could first run. */
  readonly ageFrom: number;
  /** Where it stands; undefined when it is not known (any more). */
  place: Place | undefined;
  /** Finished steps by their place in the order of steps. */
  steps: Map<number, Step> | undefined;
  /** JSON text. */
  progress: string | undefined;
}

/** `value`: the result's JSON text or, of a sleep, its end. */
export interface Step {
  readonly stepId: string;
  readonly value: string | number;
}

/** One handler's hold on a job. */
export interface Run {
  readonly runId: string;
  readonly handleId: string;
  /** The tab that it is in. */
  readonly by: string;
  /** What is left of `timeoutMs`; 0: no bound. */
  readonly leftMs: number;
}

/** What it has been through. */
export interface Tried {
  readonly failures: number;
  readonly crashes: number;
  /** Of the last failure. */
  readonly error: JobError | undefined;
  /** When it was claimed last; 0: never. */
  readonly claimedAt: number;
}

/** Could be claimed. `asleep`: by the handler that slept, or by another from the top. */
export interface ReadyPlace extends Tried {
  readonly at: "ready";
  readonly order: number;
  readonly readyAt: number;
  readonly asleep: Run | undefined;
}

/** Waits for its time. `retry`: for its next attempt, and still holds its ordering key. */
export interface DelayedPlace extends Tried {
  readonly at: "delayed";
  readonly dueAt: number;
  readonly retry: boolean;
}

/** `order` and `readyAt` are kept for handing it back. */
export interface RunningPlace extends Tried {
  readonly at: "running";
  readonly run: Run;
  readonly leaseMs: number;
  readonly leaseUntil: number;
  /** By `timeoutMs`; 0: none. */
  readonly deadlineAt: number;
  readonly order: number;
  readonly readyAt: number;
  /** The run that it goes on with, under a new id. */
  readonly resumes: string | undefined;
}

/** Sleeps until `dueAt`; `kept`: slept, and is there for its own handle alone until `dueAt`. */
export interface ParkedPlace extends Tried {
  readonly at: "parked";
  readonly dueAt: number;
  readonly kept: boolean;
  readonly asleep: Run | undefined;
}

/** `n`: its place in the order of finishing. */
export interface DonePlace extends Tried {
  readonly at: "done";
  readonly n: number;
  readonly status: JobOutcome["status"];
  readonly finishedAt: number;
  readonly result: string | undefined;
}

export type Place = ReadyPlace | DelayedPlace | RunningPlace | ParkedPlace | DonePlace;

export interface RememberedKey {
  readonly jobId: string;
  readonly untilAt: number;
}

/** A handle that has begun to work. */
export interface JobHandle {
  readonly owner: string;
  readonly worker: boolean;
  /** Its tab is not visible. */
  readonly hidden: boolean;
}

export interface JobState {
  config: JobConfig;
  /** The next number for a job, a place in line, or a place among the finished. Only ever grows. */
  next: number;
  paused: boolean;
  byId: Map<string, Job>;
  /** Jobs with a run: running, or asleep and not taken by anyone else. */
  byRun: Map<string, Job>;
  ready: Ready<Job>;
  /** Jobs that are due for the handle in which they slept, by handle. */
  kept: Map<string, Set<Job>>;
  /** Whatever ends by itself: delays, sleeps, leases. */
  due: DueHeap<{ job: Job; place: Place }>;
  finished: Line<Job>;
  count: Record<JobStatus, number>;
  keys: Map<string, RememberedKey>;
  keysByEnd: DueHeap<{ key: string; remembered: RememberedKey }>;
  log: Log<LoggedJobEvent>;
  handles: Map<string, JobHandle>;
  /** Handles whose claims found nothing, in the order in which they came. */
  idle: Set<string>;
  /** Visible and hidden workers among them. */
  workers: { visible: number; hidden: number };
  /** Hidden workers were last tried then. */
  offeredAt: number;
  /** The time when something was last submitted, claimed or woken: priorities depend on it. */
  seenAt: number;
  /**
   * Jobs and runs whose end somebody may wait for, since this was last asked. Lanes are named by what their calls wait
   * for: ids of jobs, runs and handles.
   */
  opened: string[];
}

export function createState(config: JobConfig, seed: string): JobState {
  const state: JobState = {
    config,
    next: 1,
    paused: false,
    byId: new Map(),
    byRun: new Map(),
    ready: createReady("ordering_key_partitioned"),
    kept: new Map(),
    due: new DueHeap(({ job, place }) => job.place === place),
    finished: new Line((job) => (job.place as DonePlace).n),
    count: { submitted: 0, delayed: 0, running: 0, parked: 0, retry: 0, completed: 0, failed: 0, cancelled: 0 },
    keys: new Map(),
    keysByEnd: new DueHeap(({ key, remembered }) => state.keys.get(key) === remembered),
    log: createJobLog(seed),
    handles: new Map(),
    idle: new Set(),
    workers: { visible: 0, hidden: 0 },
    offeredAt: 0,
    seenAt: 0,
    opened: [],
  };
  return state;
}

export function statusOf(place: Place): JobStatus {
  if (place.at === "ready") return "submitted";
  if (place.at === "delayed") return place.retry ? "retry" : "delayed";
  return place.at === "done" ? place.status : place.at;
}

export function runOf(place: Place | undefined): Run | undefined {
  if (place === undefined) return undefined;
  if (place.at === "running") return place.run;
  return place.at === "ready" || place.at === "parked" ? place.asleep : undefined;
}

const UNTRIED = { failures: 0, crashes: 0, error: undefined, claimedAt: 0 } as const;

/** Where a job stands right after it was submitted. */
export function firstPlace(job: Job): Place {
  if (job.ageFrom > job.submittedAt) return { at: "delayed", dueAt: job.ageFrom, retry: false, ...UNTRIED };
  return { at: "ready", order: job.seq, readyAt: job.ageFrom, asleep: undefined, ...UNTRIED };
}

/** Where it was submitted to: it stands there without a row. */
export function isFirstPlace(job: Job, place: Place): boolean {
  if (place.failures > 0 || place.crashes > 0 || place.error !== undefined || place.claimedAt > 0) return false;
  if (job.ageFrom > job.submittedAt) {
    return place.at === "delayed" && place.dueAt === job.ageFrom && !place.retry;
  }
  return place.at === "ready" && place.order === job.seq && place.readyAt === job.ageFrom && !place.asleep;
}

/** Moves a job between the structures that find it. */
export function move(state: JobState, job: Job, next: Place | undefined): void {
  const previous = job.place;
  if (previous !== undefined) leave(state, job, previous);
  job.place = next;
  if (next !== undefined) enter(state, job, next);
  const run = runOf(previous);
  // Whoever waits for the end of that run is answered, unless it goes on.
  if (run !== undefined && state.byRun.get(run.runId) !== job) state.opened.push(run.runId);
  if (next === undefined || next.at === "done") state.opened.push(job.jobId);
}

function leave(state: JobState, job: Job, place: Place): void {
  state.count[statusOf(place)]--;
  const run = runOf(place);
  if (run !== undefined) state.byRun.delete(run.runId);
  if (place.at === "done") state.finished.remove(job);
  else state.ready.leave(job, place);
  if (place.at === "parked" && place.kept) {
    const jobs = state.kept.get(place.asleep!.handleId)!;
    jobs.delete(job);
    if (jobs.size === 0) state.kept.delete(place.asleep!.handleId);
  }
}

function enter(state: JobState, job: Job, place: Place): void {
  state.count[statusOf(place)]++;
  const run = runOf(place);
  if (run !== undefined) state.byRun.set(run.runId, job);
  if (place.at === "done") {
    state.finished.insert(job);
    return;
  }
  // Ties between due times are broken by what a restore and an undo know, too.
  const end = endOf(place);
  if (end < Infinity) state.due.add(end, { job, place }, job.seq);
  if (place.at === "parked" && place.kept) {
    const { handleId } = place.asleep!;
    const jobs = state.kept.get(handleId);
    if (jobs) jobs.add(job);
    else state.kept.set(handleId, new Set([job]));
  }
  state.ready.enter(job, place);
}

/** When a place ends by itself. */
function endOf(place: Place): number {
  if (place.at === "delayed" || place.at === "parked") return place.dueAt;
  if (place.at !== "running") return Infinity;
  return place.deadlineAt > 0 ? Math.min(place.leaseUntil, place.deadlineAt) : place.leaseUntil;
}
