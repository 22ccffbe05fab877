import type { OpenBody } from "./commands.js";
import type { WireError } from "./errors.js";
import type { JobItem } from "./job.js";
import { type CommandTraits, grow, read, shrink } from "./traits.js";

export interface SchedulerConfig {
  strictHandlers: boolean;
  graceMs: number;
  tickMs: number;
  maxSubmitsPerTick: number;
  submitRetries: number;
  submitBackoffBaseMs: number;
  submitBackoffMaxMs: number;
  scheduledJobKeyTtlMs: number;
  dlqMaxEntries: number;
  maxConsecutiveDispatchFailures: number;
  /** Where processes compete: how long a leader that says nothing stays leader. */
  leaseMs: number;
  /** How often it says that it lives. */
  heartbeatMs: number;
  /** Schedules that it reads at once. */
  batchSize: number;
}

/** What happens to slots that are more than `graceMs` late. */
export type Misfire = "skip" | "catch_up_one" | "catch_up_all";

/** What all runs of a schedule have in common. The rest is the run's own: id, key, time, meta. */
export type JobTemplate = Omit<JobItem, "jobId" | "key" | "at" | "delayMs" | "meta">;

/** A schedule as it is registered. */
export interface ScheduleItem {
  scheduleId: string;
  cron: string;
  tz: string;
  misfire: Misfire;
  maxCatchUpRuns: number;
  overlap: "allow" | "skip";
  /** Opens the job with nobody there who has its handle. */
  job: OpenBody<"job">;
  item: JobTemplate;
  /** The JSON text of an object. */
  meta?: string;
}

export interface ScheduleInfo {
  id: string;
  cron: string;
  tz: string;
  misfire: Misfire;
  maxCatchUpRuns: number;
  overlap: "allow" | "skip";
  /** The `id` of the job that is run. */
  jobId: string;
  /** The next slot: epoch milliseconds. */
  nextRunAt: number;
  /** The slot that was submitted last; null before the first. */
  lastRunAt: number | null;
  paused: boolean;
  createdAt: number;
  updatedAt: number;
}

/** What is told of a schedule. */
export function scheduleInfo(
  id: string,
  { cron, tz, misfire, maxCatchUpRuns, overlap, job }: Omit<ScheduleItem, "scheduleId">,
  progress: Pick<ScheduleInfo, "nextRunAt" | "lastRunAt" | "paused" | "createdAt" | "updatedAt">,
): ScheduleInfo {
  const { nextRunAt, lastRunAt, paused, createdAt, updatedAt } = progress;
  const times = { nextRunAt, lastRunAt, paused, createdAt, updatedAt };
  return { id, cron, tz, misfire, maxCatchUpRuns, overlap, jobId: job.name.id, ...times };
}

export interface SchedulerMetrics extends SchedulerCounts {
  /** This handle has started, and its tab's hub, or its process, runs the schedules. */
  isLeader: boolean;
  /** Grows with every hub, or process, that runs the schedules. */
  leaderEpoch: number;
}

/** Of one hub, or process. */
export interface SchedulerCounts {
  /** How often it began and ceased to run the schedules. */
  leaderChanges: number;
  dispatchSubmitted: number;
  dispatchFailed: number;
  dispatchRetried: number;
  dispatchSkipped: number;
  dispatchDlq: number;
  triggerSubmitted: number;
  triggerFailed: number;
  triggerRejected: number;
  tickErrors: number;
  /** When schedules were last looked at because one was due; null: not yet. */
  lastTickAt: number | null;
}

export const NO_COUNTS: Readonly<SchedulerCounts> = {
  leaderChanges: 0,
  dispatchSubmitted: 0,
  dispatchFailed: 0,
  dispatchRetried: 0,
  dispatchSkipped: 0,
  dispatchDlq: 0,
  triggerSubmitted: 0,
  triggerFailed: 0,
  triggerRejected: 0,
  tickErrors: 0,
  lastTickAt: null,
};

/** A slot that was given up, or is about to be. */
export interface DispatchFailure {
  scheduleId: string;
  slotTs: number;
  message: string;
  /** When: epoch milliseconds. */
  ts: number;
  schedulerId: string;
  leaderEpoch: number;
}

export interface SchedulerStats {
  schedules: number;
  /** Handles that have started, in all tabs. */
  started: number;
  /** Entries of the dlq. */
  dead: number;
}

/** What happened, for `onMetric`. `runId`: the id of the submitted job. */
export type SchedulerMetric = { ts: number; schedulerId: string } & (
  | { type: "leader_acquired"; leaderEpoch: number }
  | { type: "leader_lost"; leaderEpoch: number; reason: LeaderLoss }
  | { type: "schedule_registered"; scheduleId: string; created: boolean }
  | { type: "schedule_updated" | "schedule_unregistered"; scheduleId: string }
  | { type: "dispatch_submitted"; scheduleId: string; slotTs: number; runId: string }
  | { type: "dispatch_retried"; scheduleId: string; slotTs: number; attempt: number; message: string }
  | { type: "dispatch_dlq" | "dispatch_failed"; scheduleId: string; slotTs: number; message: string }
  | { type: "dispatch_advanced_after_failures"; scheduleId: string; slotTs: number }
  | {
      type: "dispatch_skipped";
      scheduleId: string;
      slotTs: number;
      reason: "missing_handler" | "misfire" | "overlap";
    }
  | { type: "trigger_submitted"; scheduleId: string; runId: string }
  | { type: "trigger_failed"; scheduleId: string; message: string }
  | { type: "trigger_rejected"; scheduleId: string; reason: TriggerRejection }
  | { type: "tick_error"; scheduleId: string; message: string }
);

/**
 * `tab_gone`: all handles that had started, with their tab or backend. Where processes compete also `expired`: others
 * did not hear of it for `leaseMs`; `missing_handler`: it made way for a process that may have the handler.
 */
export type LeaderLoss = "stop" | "tab_gone" | "expired" | "missing_handler";

export type TriggerRejection = "missing_schedule" | "missing_handler";

/** null: submitted under the id that was asked for. `duplicateOf`: the run that the key already named. */
export type TriggerReply = null | { duplicateOf: string } | { rejected: TriggerRejection } | { failed: WireError };

export interface SchedulerCommands {
  /** A handle has started. Told again to every new hub; known until it stops, or until its tab is gone. */
  "scheduler.start": { body: { handleId: string }; reply: null };
  "scheduler.stop": { body: { handleId: string }; reply: null };
  "scheduler.register": { body: ScheduleItem; reply: { created: boolean; updated: boolean } };
  "scheduler.unregister": { body: { scheduleId: string }; reply: boolean };
  "scheduler.trigger": { body: { scheduleId: string; runId: string; key?: string }; reply: TriggerReply };
  "scheduler.get": { body: { scheduleId: string }; reply: ScheduleInfo | null };
  "scheduler.list": { body: Record<string, never>; reply: ScheduleInfo[] };
  "scheduler.preview": {
    body: { count: number } & ({ scheduleId: string } | { cron: string; tz: string });
    reply: number[];
  };
  "scheduler.pause": { body: { scheduleId: string }; reply: boolean };
  "scheduler.resume": { body: { scheduleId: string }; reply: boolean };
  "scheduler.metrics": { body: { handleId: string }; reply: SchedulerMetrics };
  "scheduler.listDead": { body: { limit: number }; reply: DispatchFailure[] };
  "scheduler.stats": { body: Record<string, never>; reply: SchedulerStats };
}

export const schedulerTraits = {
  "scheduler.start": read,
  "scheduler.stop": read,
  "scheduler.register": grow,
  "scheduler.unregister": shrink,
  "scheduler.trigger": grow,
  "scheduler.get": read,
  "scheduler.list": read,
  "scheduler.preview": read,
  "scheduler.pause": shrink,
  "scheduler.resume": shrink,
  "scheduler.metrics": read,
  "scheduler.listDead": read,
  "scheduler.stats": read,
} satisfies Record<keyof SchedulerCommands, CommandTraits>;

/** Without a place in a log: who was not listening has missed it. */
export type SchedulerEvents = { type: "scheduler.metric"; metric: SchedulerMetric };
