import type { Gap } from "./commands.js";
import { type CommandTraits, grow, read, shrink } from "./traits.js";

export interface JobConfig {
  /** Jobs running at the same time, over all tabs. 0: no bound. */
  globalConcurrency: number;
  /** Deaths of its owner that a job survives. */
  maxCrashes: number;
  /** Bounds an attempt. 0: no bound. */
  timeoutMs: number;
  /** How long finished jobs and events are kept. */
  retentionMs: number;
  /** Finished jobs kept at most; the oldest go first. */
  retentionCount: number;
}

export interface JobBackoff {
  kind: "fixed" | "exp";
  baseMs: number;
  /** Of "exp": the longest pause. */
  maxMs?: number;
  /** Random difference, as a fraction from 0 to 1. Default 0. */
  jitter?: number;
}

/** A job as it is submitted. What is absent has its documented default; the settings of the handle travel with it. */
export interface JobItem {
  jobId: string;
  /** JSON text. */
  input: string;
  /** UTF-8 bytes of input + meta + orderingKey. */
  bytes: number;
  key?: string;
  keyTtlMs?: number;
  delayMs?: number;
  /** Not before this time, epoch milliseconds; wins over `delayMs`. */
  at?: number;
  maxAttempts?: number;
  backoff?: JobBackoff;
  leaseMs?: number;
  /** JSON text. */
  meta?: string;
  priority?: number;
  orderingKey?: string;
  /** Who submits leads only for a time, where processes compete: refused once a higher epoch of `by` was seen. */
  fence?: { by: string; epoch: number };
}

/** Where a job stands. `parked`: its attempt sleeps; `retry`: it failed and waits for its next attempt. */
export type JobStatus = "submitted" | "delayed" | "running" | "parked" | "retry" | "completed" | "failed" | "cancelled";

export interface JobError {
  message: string;
  code?: string;
}

/** What a job came to. */
export interface JobOutcome {
  status: "completed" | "failed" | "cancelled";
  /** JSON text. */
  result?: string;
  error?: JobError;
  finishedAt: number;
}

/** A finished step: its place in the order of steps, its id, and its result's JSON text or, of a sleep, its end. */
export type StoredStep = [index: number, stepId: string, value: string | number];

/** One attempt of a job, handed to a handle. */
export interface JobRun {
  runId: string;
  jobId: string;
  input: string;
  /** From 1; grows when the handler failed. */
  attempt: number;
  leaseMs: number;
  key?: string;
  meta?: string;
  steps?: StoredStep[];
  /** The run of this handle that slept and now goes on under the new id. */
  resumes?: string;
}

/** A job as it is looked at. */
export interface JobRecord {
  jobId: string;
  status: JobStatus;
  input: string;
  submittedAt: number;
  priority: number;
  maxAttempts: number;
  /** How often the handler failed. */
  failures: number;
  /** How often its owner died. */
  crashes: number;
  /** Ids of finished steps and sleeps, in order. */
  steps: string[];
  key?: string;
  meta?: string;
  orderingKey?: string;
  /** JSON text. */
  progress?: string;
  /** When it goes on (delayed, retry, parked). */
  dueAt?: number;
  /** The tab that runs it: its `backend.status.tabId`. */
  by?: string;
  /** When its lease ends (running). */
  leaseUntil?: number;
  finishedAt?: number;
  result?: string;
  /** Of the last failure. */
  error?: JobError;
}

export type JobEventData =
  | { type: "submitted" }
  | { type: "started"; attempt: number }
  | { type: "heartbeat"; attempt: number }
  /** `value`: JSON text. */
  | { type: "progress"; value: string }
  | { type: "log"; text: string }
  | { type: "step"; stepId: string }
  | { type: "parked"; untilAt: number }
  | { type: "retry"; attempt: number; error: JobError; nextAt: number }
  | { type: "crashed"; crashes: number }
  | { type: "completed"; attempt: number }
  | { type: "failed"; attempt: number; error: JobError }
  | { type: "cancelled"; reason?: string };

export type JobEvent = { n: number; jobId: string; publishedAt: number } & JobEventData;

/** Counts of a job, each known in O(1). */
export interface JobStats {
  /** Could run now (also those behind another of their ordering key). */
  submitted: number;
  delayed: number;
  running: number;
  parked: number;
  retry: number;
  completed: number;
  failed: number;
  cancelled: number;
  /** Parked calls. */
  waiters: number;
  keys: number;
  paused: boolean;
  /** Handles in live tabs that have begun to work, producers included. */
  handlers: number;
  /** Those of them that run jobs. */
  workers: number;
}

export type JobResult = { result: string } | { error: JobError; retry: boolean };

export interface JobCommands {
  /** A handle is there. Told again to every new hub; known until unregistered, or until its tab is gone. */
  "job.register": { body: { handleId: string; worker: boolean; hidden?: boolean }; reply: null };
  "job.unregister": { body: { handleId: string }; reply: null };
  /** null: accepted under its own id. A string: the id that the key already names. */
  "job.submit": { body: JobItem; reply: string | null };
  "job.submitMany": { body: { items: JobItem[] }; reply: (string | null)[] | null };
  /** Run ids are `runId` for max 1, else `runId.0`, `runId.1` … */
  "job.claim": { body: { runId: string; handleId: string; max: number; waitMs: number }; reply: JobRun[] };
  /** Answers when the run is lost: why. null: it was not, all the time. */
  "job.watch": { body: { runId: string; jobId: string; waitMs: number }; reply: JobError | null };
  /** false here and below: the run is lost. */
  "job.heartbeat": { body: { runId: string; leaseMs?: number }; reply: boolean };
  "job.progress": { body: { runId: string; value: string }; reply: boolean };
  "job.log": { body: { runId: string; text: string }; reply: boolean };
  "job.step": { body: { runId: string; index: number; stepId: string; value: string }; reply: boolean };
  /** How long is left; null: the run is lost. `parked`: lease and slot are free, a claim resumes the run. */
  "job.sleep": {
    body: { runId: string; index: number; stepId: string; ms: number };
    reply: { leftMs: number; parked: boolean } | null;
  };
  "job.finish": { body: { runId: string; outcome: JobResult }; reply: boolean };
  /** Hands runs back; counts nothing. */
  "job.release": { body: { runIds: string[] }; reply: null };
  "job.cancel": { body: { jobId: string; reason?: string }; reply: boolean };
  "job.get": { body: { jobId: string }; reply: JobRecord | null };
  "job.list": {
    body: { status?: JobStatus; limit: number; after?: string };
    reply: { entries: JobRecord[]; next?: string };
  };
  /** Without `jobIds`: all that failed. */
  "job.retryFailed": { body: { jobIds?: string[] }; reply: number };
  "job.pause": { body: Record<string, never>; reply: null };
  "job.resume": { body: Record<string, never>; reply: null };
  /** null: not finished in time. */
  "job.join": { body: { jobId: string; waitMs: number }; reply: JobOutcome | null };
  "job.anchor": { body: { after: string }; reply: { generation: string; n: number; gap?: Gap } };
  "job.read": {
    body: { jobId: string; after: number; limit: number };
    reply: { events: JobEvent[]; head: number; gap?: Gap };
  };
  "job.stats": { body: Record<string, never>; reply: JobStats };
}

/** Finds its own traces when it runs again, and answers what is true then. */
const again = read;

export const jobTraits = {
  "job.register": again,
  "job.unregister": again,
  "job.submit": grow,
  "job.submitMany": grow,
  "job.claim": again,
  "job.watch": read,
  "job.heartbeat": again,
  "job.progress": again,
  "job.log": again,
  "job.step": { resend: "rerun", grows: true },
  "job.sleep": again,
  "job.finish": again,
  "job.release": again,
  "job.cancel": shrink,
  "job.get": read,
  "job.list": read,
  "job.retryFailed": shrink,
  "job.pause": shrink,
  "job.resume": shrink,
  "job.join": read,
  "job.anchor": read,
  "job.read": read,
  "job.stats": read,
} satisfies Record<keyof JobCommands, CommandTraits>;

/** What the instance's log holds, as it is announced. */
export type JobEvents = { type: "job.happened"; event: JobEvent };
