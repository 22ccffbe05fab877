import type { Body, JobEvent, JobEventData, Reply } from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import type { JobState } from "./job-state.js";
import { Log } from "./log.js";
import type { Context, Table } from "./primitive.js";

export type LoggedJobEvent = JobEvent;

/** Events retained at most, whatever their age; trimmed a batch at a time. */
const MAX_EVENTS = 50_000;
const TRIM_BATCH = 500;

export function createJobLog(seed: string): Log<LoggedJobEvent> {
  return new Log(seed);
}

export const events: Table<JobState, LoggedJobEvent, LoggedJobEvent> = {
  letter: "e",
  key: (event) => event.n,
  // A new one is not searched for.
  get: ({ log }, event) => (event.n <= log.head && log.find(event.n) === event ? event : undefined),
  set({ log }, event, value) {
    if (value === undefined) {
      log.events.remove(event);
      // Undoing the newest gives its number back; trimming the oldest does not.
      if (event.n === log.head && event.n > log.trimmedUpTo) log.head--;
    } else {
      log.events.insert(event);
      log.head = Math.max(log.head, event.n);
    }
  },
  // The number is the row's key.
  encode: (event) => ({ ...event, n: undefined }) as unknown as Json,
};

export function decodeEvent(n: number, row: Json): LoggedJobEvent {
  return { ...(row as object), n } as LoggedJobEvent;
}

export const trims: Table<JobState, "trim", number> = {
  letter: "t",
  key: (only) => only,
  get: ({ log }) => log.trimmedUpTo || undefined,
  set({ log }, _, value) {
    log.trimmedUpTo = value ?? 0;
    log.head = Math.max(log.head, log.trimmedUpTo);
  },
  encode: (value) => value,
};

/** Writes down what happened to a job, and tells. */
export function append(state: JobState, jobId: string, data: JobEventData, ctx: Context): void {
  const { log } = state;
  const event: LoggedJobEvent = { n: log.head + 1, jobId, publishedAt: ctx.now, ...data };
  ctx.put(events, event, event);
  ctx.emit({ type: "job.happened", event }, event.n);
  if (log.events.length >= MAX_EVENTS + TRIM_BATCH) trim(state, log.events.length - MAX_EVENTS, ctx);
}

export function trimOld(state: JobState, ctx: Context): void {
  const { log } = state;
  const before = ctx.now - state.config.retentionMs;
  let count = 0;
  for (let event; (event = log.events.at(count)) && event.publishedAt < before;) count++;
  if (count > 0) trim(state, count, ctx);
}

/** When `trimOld` has something to do. */
export function trimDueAt({ log, config }: JobState): number {
  const oldest = log.events.first();
  return oldest ? oldest.publishedAt + config.retentionMs + 1 : Infinity;
}

function trim({ log }: JobState, count: number, ctx: Context): void {
  // First the mark, then the events: an event above the mark that goes is an undone one.
  ctx.put(trims, "trim", log.events.at(count - 1)!.n);
  for (let left = count; left > 0; left--) ctx.put(events, log.events.first()!, undefined);
}

export function read(state: JobState, { jobId, after, limit }: Body<"job.read">, ctx: Context): Reply<"job.read"> {
  const { log } = state;
  const gap = log.gapAfter(after);
  const notBefore = ctx.now - state.config.retentionMs;
  const found: JobEvent[] = [];
  for (let i = log.events.search(after + 1); i < log.events.length && found.length < limit; i++) {
    const event = log.events.at(i)!;
    if (event.jobId === jobId && event.publishedAt >= notBefore) found.push(event);
  }
  return { events: found, head: log.head, ...(gap ? { gap } : {}) };
}
