import type {
  Body,
  JobError,
  JobEvent,
  JobItem,
  JobOutcome,
  JobRecord,
  JobRun,
  JobStatus,
} from "../protocol/commands.js";
import { PayloadTooLargeError, ValidationError } from "../protocol/errors.js";
import { utf8Bytes } from "../protocol/json.js";
import { anchorArgs, anchorReply, readReply } from "./log.js";
import { type Argument, type RedisKind, asBoolean, asIs, asNull } from "./script.js";

const DEFAULT_PRIORITY = 5;
const DEFAULT_LEASE_MS = 30_000;
const DEFAULT_KEY_TTL_MS = 7 * 24 * 3_600_000;
const MAX_PAYLOAD_BYTES = 131_072;
const LONGEST_MS = 2 ** 52;
const MAX_STEPS = 1_000_000;
/** A handle is forgotten after 2.5 of these without a word (job-register.lua). */
const TELL_MS = 20_000;

type RawStep = [index: number, stepId: string, isSleep: number, value: string];
type RawRun =
  | [jobId: string, plainRecord: string]
  | [
      jobId: string,
      input: string,
      attempt: number,
      leaseMs: number,
      key: string | null,
      meta: string | null,
      resumes: string | null,
      steps: RawStep[],
    ];
type RawRecord = [
  jobId: string,
  status: JobStatus,
  input: string,
  submittedAt: number,
  priority: number,
  maxAttempts: number,
  failures: number,
  crashes: number,
  steps: string[],
  key: string | null,
  meta: string | null,
  orderingKey: string | null,
  progress: string | null,
  error: string,
  at: number | null,
  by: string | null,
  result: string | null,
];
/** What is asked, and how far it came. */
type RetryFailed = Body<"job.retryFailed"> & { after?: string; upTo?: string; retried?: number };
type RawRetried = [count: number, after?: string, upTo?: string];
type RawOutcome = [status: JobOutcome["status"] | null, finishedAt: number, result?: string | null, error?: string];

export const jobKind: RedisKind<"job"> = {
  settings: (config) => ({ ...config }),
  sweep: "job-sweep",
  goodbye: "job-goodbye",
  reassertMs: TELL_MS,
  scripts: {
    "job.register": {
      lua: "job-register",
      args: ({ handleId, worker }, { owner }) => [owner, handleId, worker ? 1 : 0],
      reply: asNull,
    },
    "job.unregister": {
      lua: "job-unregister",
      args: ({ handleId }, { owner }) => [owner, handleId],
      reply: asNull,
    },
    // Its id is the job's, and known as long as the job is.
    "job.submit": {
      lua: "job-submit",
      many: true,
      args: (item) => [...itemArgs(item), item.fence?.by ?? "", item.fence?.epoch ?? 0],
      plain: { lua: "job-submitPlain", many: true, suits: isPlain, args: plainArgs },
      reply: asIs,
      repeatable: () => true,
    },
    "job.submitMany": {
      lua: "job-submitMany",
      args: ({ items }) => items.flatMap(itemArgs),
      plain: {
        lua: "job-submitPlain",
        suits: ({ items }) => items.length > 0 && items.every(isPlain),
        args: ({ items }) => items.flatMap(plainArgs),
      },
      reply: (earlier: (string | null)[]) => (earlier.every((id) => id === null) ? null : earlier),
      repeatable: () => true,
    },
    "job.claim": {
      lua: "job-claim",
      unordered: true,
      many: true,
      holds: true,
      lane: () => "claim",
      args: ({ runId, handleId, max }, { owner, callId, waitMs }) => [runId, handleId, max, waitMs, owner, callId],
      reply: (raw: RawRun[], { runId, max }) => raw.map((run, i) => runOf(run, max === 1 ? runId : `${runId}.${i}`)),
      none: () => [],
    },
    "job.watch": {
      lua: "job-watch",
      unordered: true,
      many: true,
      lane: ({ runId }) => runId,
      args: ({ runId, jobId }, { callId, waitMs }) => [runId, jobId, waitMs, callId],
      reply: (text: string) => JSON.parse(text) as JobError,
      none: () => null,
    },
    "job.heartbeat": {
      lua: "job-heartbeat",
      unordered: true,
      many: true,
      args: ({ runId, leaseMs }) => [runId, leaseMs ?? 0],
      reply: asBoolean,
    },
    "job.progress": {
      lua: "job-progress",
      many: true,
      args: ({ runId, value }) => [runId, JSON.stringify(value)],
      reply: asBoolean,
    },
    "job.log": {
      lua: "job-log",
      many: true,
      args: ({ runId, text }) => [runId, JSON.stringify(text)],
      reply: asBoolean,
    },
    "job.step": {
      lua: "job-step",
      unordered: true,
      many: true,
      args: ({ runId, index, stepId, value }) => [runId, stepIndex(index), JSON.stringify(stepId), value],
      reply: asBoolean,
    },
    "job.sleep": {
      lua: "job-sleep",
      args: ({ runId, index, stepId, ms }) => [runId, stepIndex(index), JSON.stringify(stepId), ms],
      reply: (raw: [number, number] | null) => raw && { leftMs: raw[0], parked: raw[1] === 1 },
    },
    "job.finish": {
      lua: "job-finish",
      unordered: true,
      many: true,
      opens: ({ runId }) => [runId],
      args: ({ runId, outcome }) =>
        "error" in outcome
          ? [runId, 0, errorText(outcome.error), outcome.retry ? 1 : 0]
          : [runId, 1, outcome.result, 0],
      reply: asBoolean,
    },
    "job.release": {
      lua: "job-release",
      unordered: true,
      opens: ({ runIds }) => runIds,
      args: ({ runIds }) => runIds,
      reply: asNull,
    },
    "job.cancel": {
      lua: "job-cancel",
      args: ({ jobId, reason }) => [jobId, reason === undefined ? "" : JSON.stringify(reason)],
      reply: asBoolean,
    },
    "job.get": { lua: "job-get", args: ({ jobId }) => [jobId], reply: (raw: RawRecord | null) => raw && recordOf(raw) },
    "job.list": {
      lua: "job-list",
      args: ({ status = "", limit, after = "0" }) => {
        if (!STATUSES.includes(status)) throw new ValidationError(`"${status}" is not a status of jobs`);
        if (!/^\d{1,15}$/.test(after)) throw new ValidationError(`"after" is not a cursor of this list`);
        return [limit, after, status];
      },
      reply: ([entries, next]: [RawRecord[], string | null]) => ({
        entries: entries.map(recordOf),
        ...(next === null ? {} : { next }),
      }),
    },
    "job.retryFailed": {
      lua: "job-retryFailed",
      args: ({ jobIds, after = "0", upTo = "" }: RetryFailed) => [jobIds ? 0 : 1, after, upTo, ...(jobIds ?? [])],
      again: ([count, after, upTo]: RawRetried, { retried = 0 }: RetryFailed) =>
        after === undefined ? undefined : ({ after, upTo, retried: retried + count } as object),
      reply: ([count]: RawRetried, { retried = 0 }: RetryFailed) => retried + count,
    },
    "job.pause": { lua: "job-pause", args: () => [], reply: asNull, repeatable: () => true },
    "job.resume": { lua: "job-resume", args: () => [], reply: asNull, repeatable: () => true },
    "job.join": {
      lua: "job-join",
      many: true,
      lane: ({ jobId }) => jobId,
      args: ({ jobId }, { callId, waitMs }) => [jobId, waitMs, callId],
      reply: (raw: RawOutcome, { jobId }) => outcomeOf(raw, jobId),
      none: () => null,
    },
    "job.anchor": { lua: "job-anchor", args: anchorArgs, reply: anchorReply },
    "job.read": {
      lua: "job-read",
      args: ({ jobId, after, limit }) => [jobId, after, limit],
      reply: readReply<JobEvent>,
    },
    "job.stats": {
      lua: "job-stats",
      args: () => [],
      reply: (raw: number[]) => {
        const [submitted, delayed, running, parked, retry, completed, failed, cancelled, ...rest] = raw as Counts;
        const [waiters, keys, paused, workers, producers] = rest;
        return {
          submitted,
          delayed,
          running,
          parked,
          retry,
          completed,
          failed,
          cancelled,
          waiters,
          keys,
          paused: paused === 1,
          handlers: workers + producers,
          workers,
        };
      },
    },
  },
  async peek(port, limit) {
    const found = new Map<string, JobRecord>();
    for (const status of ["running", "submitted", undefined] as const) {
      if (found.size >= limit) break;
      const { entries } = await port.call("job.list", { limit, ...(status === undefined ? {} : { status }) });
      for (const entry of entries) if (found.size < limit) found.set(entry.jobId, entry);
    }
    return [...found.values()];
  },
};

type Counts = [number, number, number, number, number, number, number, number, number, number, number, number, number];

const STATUSES = ["", "submitted", "delayed", "running", "parked", "retry", "completed", "failed", "cancelled"];

/** Whether it is submitted by the short script. */
function isPlain({ key, orderingKey, delayMs, at, priority = DEFAULT_PRIORITY, fence }: JobItem): boolean {
  return !key && !orderingKey && !delayMs && at === undefined && priority === DEFAULT_PRIORITY && fence === undefined;
}

function plainArgs(item: JobItem): Argument[] {
  const { jobId, bytes } = item;
  // It becomes a part of names and texts as it is.
  if (!/^[\w.:-]{1,128}$/.test(jobId)) throw new ValidationError("a job's id must be 1–128 letters and digits");
  if (bytes > MAX_PAYLOAD_BYTES) throw new PayloadTooLargeError({ limitBytes: MAX_PAYLOAD_BYTES, actualBytes: bytes });
  return [jobId, recordText(item)];
}

function itemArgs(item: JobItem): Argument[] {
  const { key = "", keyTtlMs = DEFAULT_KEY_TTL_MS, delayMs = 0, at = -1 } = item;
  const { priority = DEFAULT_PRIORITY, orderingKey = "" } = item;
  // Anything else has no line to stand in.
  if (!(priority >= 0 && priority <= 9)) throw new ValidationError("priority must be from 0 to 9");
  return [...plainArgs(item), priority, delayMs, at, key, keyTtlMs, orderingKey];
}

/** What is stored (read_record in prelude-job.lua), but for the numbers in front, which the script puts there. */
function recordText(item: JobItem): string {
  const { input, key = "", orderingKey = "", meta, keyTtlMs = DEFAULT_KEY_TTL_MS, backoff } = item;
  const { priority = DEFAULT_PRIORITY, maxAttempts = 1, leaseMs = DEFAULT_LEASE_MS } = item;
  const texts = `${key}${orderingKey}${meta ?? ""}`;
  const isUsual = maxAttempts === 1 && leaseMs === DEFAULT_LEASE_MS && priority === DEFAULT_PRIORITY;
  if (isUsual && backoff === undefined && texts === "" && meta === undefined) return `\n${input}`;
  const lengths = `${utf8Bytes(key)} ${utf8Bytes(orderingKey)} ${meta === undefined ? -1 : utf8Bytes(meta)}`;
  return ` ${leaseMs} ${priority} ${lengths} ${maxAttempts} ${backoffText(item)} ${keyTtlMs}\n${texts}${input}`;
}

function backoffText({ backoff }: JobItem): string {
  if (backoff === undefined) return "none 0 0 0";
  const { kind, baseMs, maxMs = LONGEST_MS, jitter = 0 } = backoff;
  return `${kind} ${baseMs} ${kind === "exp" ? Math.min(maxMs, LONGEST_MS) : LONGEST_MS} ${jitter}`;
}

function errorText({ message, code }: JobError): string {
  return JSON.stringify(code === undefined ? { message } : { message, code });
}

function stepIndex(index: number): number {
  if (index >= 0 && index < MAX_STEPS) return index;
  throw new ValidationError(`a job has at most ${MAX_STEPS} steps`);
}

function runOf(raw: RawRun, runId: string): JobRun {
  if (raw.length === 2) return firstRunOf(raw[1], { runId, jobId: raw[0] });
  const [jobId, input, attempt, leaseMs, key, meta, resumes, steps] = raw;
  const run: JobRun = { runId, jobId, input, attempt, leaseMs };
  if (key !== null) run.key = key;
  if (meta !== null) run.meta = meta;
  if (resumes !== null) run.resumes = resumes;
  if (steps.length > 0) {
    run.steps = steps.map(([index, stepId, isSleep, value]) => [
      index,
      JSON.parse(stepId) as string,
      isSleep === 1 ? Number(value) : value,
    ]);
  }
  return run;
}

function firstRunOf(plainRecord: string, ids: { runId: string; jobId: string }): JobRun {
  const end = plainRecord.indexOf("\n");
  const [, , , leaseMs = DEFAULT_LEASE_MS] = plainRecord.slice(0, end).split(" ");
  return { ...ids, input: plainRecord.slice(end + 1), attempt: 1, leaseMs: Number(leaseMs) };
}

function recordOf(raw: RawRecord): JobRecord {
  const [jobId, status, input, submittedAt, priority, maxAttempts, failures, crashes, steps, ...more] = raw;
  const [key, meta, orderingKey, progress, error, at, by, result] = more;
  return {
    jobId,
    status,
    input,
    submittedAt,
    priority,
    maxAttempts,
    failures,
    crashes,
    steps: steps.map((stepId) => JSON.parse(stepId) as string),
    ...(key === null ? {} : { key }),
    ...(meta === null ? {} : { meta }),
    ...(orderingKey === null ? {} : { orderingKey }),
    ...(progress === null ? {} : { progress: JSON.parse(progress) as string }),
    ...(error === "" ? {} : { error: JSON.parse(error) as JobError }),
    ...(at === null ? {} : { [timeOf(status)]: at }),
    ...(by === null ? {} : { by }),
    ...(result === null ? {} : { result }),
  };
}

function timeOf(status: JobStatus): "dueAt" | "leaseUntil" | "finishedAt" {
  if (status === "running") return "leaseUntil";
  return status === "completed" || status === "failed" || status === "cancelled" ? "finishedAt" : "dueAt";
}

function outcomeOf([status, finishedAt, result = null, error = ""]: RawOutcome, jobId: string): JobOutcome {
  if (status === null) {
    const unknown = { message: `there is no job ${jobId}, or no longer`, code: "UNKNOWN_JOB" };
    return { status: "failed", error: unknown, finishedAt };
  }
  return {
    status,
    finishedAt,
    ...(result === null ? {} : { result }),
    ...(error === "" ? {} : { error: JSON.parse(error) as JobError }),
  };
}
