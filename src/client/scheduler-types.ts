import type {
  DispatchFailure,
  Misfire,
  ScheduleInfo,
  SchedulerMetric,
  SchedulerMetrics,
  SchedulerStats,
} from "../protocol/commands.js";
import type { HandleOptions } from "./handle.js";

export interface SchedulerOptions extends HandleOptions {
  /** Matters on Redis, where processes compete; the browser's hub is the leader by itself. */
  leader?: {
    /** How long a leader that says nothing stays leader. Default 5,000. */
    leaseMs?: number;
    /** How often it renews; at most a third of the lease. Default 500. */
    heartbeatMs?: number;
  };
  dispatch?: {
    /** How often what could not run is tried again. Default 500. */
    tickMs?: number;
    /** Schedules that are read at once. Matters on Redis. Default 200. */
    batchSize?: number;
    /** Runs that one tick submits, over all schedules. Default 500. */
    maxSubmitsPerTick?: number;
    /** Further tries when the job refuses a run for a reason that may pass. Default 3. */
    submitRetries?: number;
    /** Pause before the first further try; doubles. Default 100. */
    submitBackoffBaseMs?: number;
    /** The longest such pause. Default 2,000. */
    submitBackoffMaxMs?: number;
    /** How long the job remembers that a slot was submitted. Default 90 days. */
    scheduledJobKeyTtlMs?: number;
    /** Entries of the dlq; the oldest go first. Default 5,000. */
    dlqMaxEntries?: number;
    /** After so many rounds of tries a slot is left out. Default 5. */
    maxConsecutiveDispatchFailures?: number;
  };
  /** A due slot whose job has no handler: true, it waits; false, it is left out. Default true. */
  strictHandlers?: boolean;
  /** Slots up to this late are on time and run under every misfire policy. Never less than `tickMs`. Default 30,000. */
  graceMs?: number;
  /** Hears what happens at this scheduler, in any tab, from this handle's first call on. For counting and logging. */
  onMetric?: (metric: SchedulerMetric) => void;
}

/** A handle that `job()` made. */
export interface SchedulableJob {
  validateInput(input: never): unknown;
}

export interface ScheduleOptions<Job extends SchedulableJob> {
  /** Names the schedule. Registering it again changes it. 1–256 characters. */
  id: string;
  /** Five fields (minute, hour, day of month, month, day of week), or `@hourly`, `@daily` … */
  cron: string;
  /** The zone whose clock counts, such as "Europe/Berlin". Default "UTC". */
  tz?: string;
  job: Job;
  /** What every run gets; fits the job's schema. */
  input: Parameters<Job["validateInput"]>[0];
  /**
   * Slots that are more than `graceMs` late: "skip" leaves them out, "catch_up_one" runs the oldest, "catch_up_all"
   * runs all of them. Default "skip".
   */
  misfire?: Misfire;
  /** With "catch_up_all": how many of them one tick runs. Default 100. */
  maxCatchUpRuns?: number;
  /** An object that travels with every run, beside `scheduleId`, `scheduleSlotTs` and `schedulerId`. */
  meta?: Readonly<Record<string, unknown>>;
  /** "skip": a slot is left out while the run before it is not finished. Default "allow". */
  overlap?: "allow" | "skip";
}

/** See {@link scheduler}. */
export interface Scheduler {
  /** Schedules run from now on, for as long as a handle that has started lives in some tab. */
  start(): Promise<void>;
  /** This handle wants no more runs. Others that have started go on; it may start again. */
  stop(): Promise<void>;
  /**
   * Makes a schedule or changes it. `nextRunAt` stays when cron and zone are the same.
   *
   * @throws `ValidationError` for a zone, an input or an expression that is none, in this order; `RangeError`, `QUOTA`.
   */
  register<Job extends SchedulableJob>(schedule: ScheduleOptions<Job>): Promise<{ created: boolean; updated: boolean }>;
  /** false when there was none. What it has submitted still runs. */
  unregister(options: { id: string }): Promise<boolean>;
  /**
   * Runs it now, whether started or not; moves no slot. With a `key`, once for that key. Returns the job's id.
   *
   * @throws `ValidationError` when there is no such schedule, `UNAVAILABLE` when its job has no handler, and what the
   * job refuses with.
   */
  triggerNow(options: { id: string; key?: string }): Promise<string>;
  get(options: { id: string }): Promise<ScheduleInfo | null>;
  /** All schedules, by id. */
  list(): Promise<ScheduleInfo[]>;
  /** The next slots of a schedule, or of an expression (`tz` defaults to "UTC"): epoch milliseconds. Count 1–1,000. */
  preview(options: ({ id: string } | { cron: string; tz?: string }) & { count?: number }): Promise<number[]>;
  /** No slots until `resume`, also after a restart. false when there is no such schedule. */
  pause(options: { id: string }): Promise<boolean>;
  /** Goes on with the first slot after now. false when there is no such schedule. */
  resume(options: { id: string }): Promise<boolean>;
  metrics(): Promise<SchedulerMetrics>;
  /** Slots whose submit was refused, newest first; at most `limit` (default 100). */
  dlq(options?: { limit?: number }): Promise<DispatchFailure[]>;
  stats(): Promise<SchedulerStats>;
  /** Stops and ends this handle. Its schedules stay. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
