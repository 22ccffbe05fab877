import type { JobBackoff, JobError, JobStats, JobStatus } from "../protocol/commands.js";
import type { Jsonify } from "../protocol/json.js";
import type { HandleOptions } from "./handle.js";
import type { LogReader } from "./log-reader.js";
import type { InputOf, OutputOf, Schema } from "./schema.js";
import type { TopicEventOf } from "./topic-types.js";

/** A handler's result as it is read: the JSON round trip. */
export type ResultOf<R> = [R] extends [void] ? undefined : Jsonify<R>;

export interface JobOptions<S extends Schema, R> extends HandleOptions {
  /** What a job is given; any Standard Schema. `submit` takes its input type, `process` gets its output type. */
  schema: S;
  /** Handles one job. What it returns is the result; what it throws fails the attempt. */
  process: (run: { ctx: JobContext; input: OutputOf<S> }) => R | Promise<R>;
  /** What this handle's submits have when they do not say otherwise. */
  defaults?: {
    /** Failures of the handler before the job has failed. Default 1. */
    maxAttempts?: number;
    /** The pause before the next attempt. Default: none. */
    backoff?: JobBackoff;
    /** A handler that gives no sign of life (heartbeat, step, progress) for this long has failed. Default 30,000. */
    leaseMs?: number;
    /** How long a key is remembered. Default 7 days. */
    keyTtlMs?: number;
  };
  /** Deaths of its tab that a job survives; one more and it has failed with `CRASHED`. Default 5. */
  maxCrashes?: number;
  /** Bounds an attempt whatever it does; time asleep is left out. Default: no bound. */
  timeoutMs?: number;
  /** Jobs that this handle runs at the same time, for each tenant. Default 1. */
  concurrency?: number;
  /** Jobs that run at the same time in all tabs together. Default: no bound. */
  globalConcurrency?: number;
  /** How long finished jobs and events are kept. Default 7 days. */
  retentionMs?: number;
  /** Finished jobs kept at most; the oldest go first. Default 10,000. */
  retentionCount?: number;
  /** false: this handle submits, and runs nothing. Default true. */
  worker?: boolean;
}

export interface SubmitOptions<Input> {
  input: Input;
  tenantId?: string;
  /** A second submit with this key has no effect and returns the first id, also when that job is done. */
  key?: string;
  /** How long the key is remembered, from the submit or the last start of the job. Default: the handle's, 7 days. */
  keyTtlMs?: number;
  /** Does not run before this many milliseconds. Default 0. */
  delayMs?: number;
  /** Does not run before this time, epoch milliseconds; wins over `delayMs`. */
  at?: number;
  /** Default: the handle's, 1. */
  maxAttempts?: number;
  /** Default: the handle's, none. */
  backoff?: JobBackoff;
  /** Default: the handle's, 30,000. */
  leaseMs?: number;
  /** Travels with the job; any JSON value. */
  meta?: unknown;
  /** 0 (first) to 9. A waiting job rises by one every 30 s. Default 5. */
  priority?: number;
  /** Jobs of one ordering key run one at a time, in order of submission. */
  orderingKey?: string;
}

export interface Submitted {
  /** 26 characters, sortable by the time of submission. */
  id: string;
  /** The key was known: `id` is the earlier job's. */
  duplicate: boolean;
}

/** What a handler may ask for. Methods may be taken off it. */
export interface JobContext {
  readonly jobId: string;
  /** From 1; grows when the handler failed, not when its tab died. */
  readonly attempt: number;
  readonly key?: string;
  readonly meta?: unknown;
  /**
   * Aborts when the job is lost or the handle stops: the reason is an Error whose `code` is `CANCELLED`, `TIMEOUT`,
   * `LOST` or `CLOSED`. Also when the handler has failed, with what it threw.
   */
  readonly signal: AbortSignal;
  /** A sign of life: the lease begins anew, with `leaseMs` for this once. Rejects with `AbortError` when it is lost. */
  heartbeat(options?: { leaseMs?: number }): Promise<void>;
  /**
   * Runs a part of the work once: its result is stored with the job, and later attempts get it instead of running it.
   * At least once until this resolves. Steps and sleeps must come in the same order in every attempt.
   *
   * @throws What `run` throws; `ValidationError` for an id that this attempt used before, or a result that JSON cannot
   * hold; `NONDETERMINISTIC`, which fails the job; `AbortError` when the job is lost.
   */
  step<T>(step: { id: string; run: () => T | Promise<T> }): Promise<ResultOf<T>>;
  /** Tells where the work is: an event, kept with the job; a sign of life. Any JSON value. */
  progress(value: unknown): Promise<void>;
  /** Writes a line to the job's events. */
  log(text: string): Promise<void>;
  /**
   * Waits, once however often the job is tried. Longer than 5 s it frees lease and slot, and another tab may go on
   * should this one be gone. Rejects with `AbortError` when the job is lost.
   */
  sleep(ms: number, options?: { id?: string }): Promise<void>;
}

/** What a job came to. */
export interface JobOutcomeOf<Result> {
  id: string;
  /** "timed_out": not finished within `timeoutMs`. */
  status: "completed" | "failed" | "cancelled" | "timed_out";
  /** Of a completed job. */
  result?: Result;
  /** Codes: `TIMEOUT`, `CRASHED`, `NONDETERMINISTIC`, `VALIDATION`, `CANCELLED`, `UNKNOWN_JOB`, `JOIN_TIMEOUT`, or what
   * the handler's error had. */
  error?: JobError;
  /** Epoch milliseconds. */
  finishedAt: number;
}

/** A job, looked at. */
export interface JobInfo<Result> {
  id: string;
  status: JobStatus;
  /** As it is stored: not checked against the schema. */
  input: unknown;
  submittedAt: number;
  priority: number;
  maxAttempts: number;
  /** Attempts that failed. */
  failures: number;
  /** Tabs that died while they ran it. */
  crashes: number;
  /** Ids of its finished steps and sleeps; empty once it is completed or cancelled. */
  steps: string[];
  key?: string;
  meta?: unknown;
  orderingKey?: string;
  /** What `ctx.progress` told last. */
  progress?: unknown;
  /** When it goes on (delayed, retry, parked). */
  dueAt?: number;
  /** The tab that runs it: its `backend.status.tabId`. */
  by?: string;
  /** When its lease ends (running). */
  leaseUntil?: number;
  finishedAt?: number;
  result?: Result;
  /** Of the last failure. */
  error?: JobError;
}

/** What happened to a job. */
export type JobEventOf = { jobId: string } & (
  | { type: "submitted" }
  | { type: "started"; attempt: number }
  | { type: "heartbeat"; attempt: number }
  | { type: "progress"; value: unknown }
  | { type: "log"; text: string }
  | { type: "step"; stepId: string }
  /** It sleeps. */
  | { type: "parked"; untilAt: number }
  /** The attempt failed, the next begins at `nextAt`. */
  | { type: "retry"; attempt: number; error: JobError; nextAt: number }
  /** Its tab died; `crashes` so far. */
  | { type: "crashed"; crashes: number }
  | { type: "completed"; attempt: number }
  | { type: "failed"; attempt: number; error: JobError }
  | { type: "cancelled"; reason?: string }
);

/** An event as `live` gives it. */
export type JobEventItem = TopicEventOf<JobEventOf>;

/** An event as a reader gives it. */
export interface JobEventReceived extends JobEventItem {
  /** true once. Readers of jobs keep their own position: it marks nothing. */
  commit(): Promise<boolean>;
}

export interface JobEventReader extends LogReader<JobEventReceived> {
  readonly group: string;
}

export interface JobLiveOptions {
  /** Where to begin: a cursor, "0-0" for everything retained, "$" for what comes from this call on. Default "$". */
  after?: string;
  signal?: AbortSignal;
  /** Ends when no event came for this long. Default: never. */
  timeoutMs?: number;
  /** When events behind `after` are gone. Default "throw" (`GapError`). */
  onGap?: "throw" | "continue";
}

export interface JobEventLog {
  /** All events of the job that are retained, then those that come. `group` is a label. */
  reader(group?: string): JobEventReader;
  /** Events of the job from this call on. Ends when aborted or closed. */
  live(options?: JobLiveOptions): AsyncIterableIterator<JobEventItem>;
}

interface OfTenant {
  tenantId?: string;
}

/** See {@link job}. */
export interface Job<S extends Schema, R> {
  /**
   * Submits a job and starts this handle's worker, if it has one. Resolves with the job's id when it is as durable as
   * the job is.
   *
   * @throws `ValidationError`, `RangeError`, `PayloadTooLargeError`, `CapacityError`, `QUOTA`: nothing was submitted.
   */
  submit(options: SubmitOptions<InputOf<S>>): Promise<string>;
  /** All or none, in order; at most 1,000 jobs and 8 MiB. */
  submitMany(items: readonly Omit<SubmitOptions<InputOf<S>>, "tenantId">[], options?: OfTenant): Promise<Submitted[]>;
  /** Starts this handle's worker without submitting anything. Resolves when it is known. Idempotent. */
  start(options?: OfTenant): Promise<void>;
  /** Throws `ValidationError` for what `submit` would refuse; a promise when the schema is asynchronous. */
  validateInput(input: InputOf<S>): void | Promise<void>;
  /**
   * Waits for the job's end; resolves also when it failed. An unknown id is `failed` with `UNKNOWN_JOB` at once.
   *
   * @throws `AbortError` when the signal aborts, `CLOSED`.
   */
  join(
    options: { id: string; timeoutMs?: number; signal?: AbortSignal } & OfTenant,
  ): Promise<JobOutcomeOf<ResultOf<R>>>;
  /** Ends a job wherever it is; a running handler's signal aborts. false: it is unknown, or was done already. */
  cancel(options: { id: string; reason?: string } & OfTenant): Promise<boolean>;
  get(id: string, options?: OfTenant): Promise<JobInfo<ResultOf<R>> | null>;
  /** In order of submission. `next` is the `after` of the following page. `limit`: default 100, at most 1,000. */
  list(
    options?: { status?: JobStatus; limit?: number; after?: string } & OfTenant,
  ): Promise<{ entries: JobInfo<ResultOf<R>>[]; next?: string }>;
  /** Failed jobs (default: all) back to the line, untried but with their steps. Returns how many. */
  retryFailed(options?: { ids?: string[] } & OfTenant): Promise<number>;
  /** No job is handed out until `resume`, also after a restart. What runs goes on. */
  pause(options?: OfTenant): Promise<void>;
  resume(options?: OfTenant): Promise<void>;
  events(id: string, options?: OfTenant): JobEventLog;
  stats(options?: OfTenant): Promise<JobStats>;
  /**
   * Takes nothing new and aborts the signals. What ran is free again, uncounted, when its handler leaves, or when
   * `timeoutMs` (default 5,000) are over; `abandoned` says how many had not left by then. A later `submit` or `start`
   * begins again.
   */
  stop(options?: { timeoutMs?: number }): Promise<{ abandoned: number }>;
  /** `stop`, for good: calls then reject with `CLOSED`. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
