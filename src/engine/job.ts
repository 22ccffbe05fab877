/**
 * A job definition, with its jobs.
 *
 *  submit ─▶ submitted ──────── claim ────────▶ running ── result ─────────────────▶ completed
 *    │           ▲ ▲ ▲                          │ │ │ │ └─ no attempts left, final ▶ failed
 *    └▶ delayed ─┘ │ └─ handed back, owner died ┘ │ │ └─── failed, timed out ─▶ retry ─┐
 *                  │                              │ └ sleep > 5 s ─▶ parked            │
 *                  └──────────────────────────────┴─── due ◀──────────┴────────────────┘
 *  any of them but the last ── cancel ──▶ cancelled              failed ── retryFailed ──▶ submitted
 *
 * Invariants, leases, sleep, and what happens when each side dies: docs/decisions/0007-job.md.
 */
import type { Body, JobItem } from "../protocol/commands.js";
import { CapacityError, PayloadTooLargeError, ValidationError } from "../protocol/errors.js";
import type { Json } from "../protocol/json.js";
import { crash, failAttempt, forget, settle } from "./job-end.js";
import { append, decodeEvent, events, read, trimDueAt, trimOld, trims } from "./job-log.js";
import { get, join, list, peek, stats } from "./job-look.js";
import { handBack, isClaimable, jobRunRules, offerDueAt, wakeUp } from "./job-run.js";
import { type DonePlace, type Job, type JobState, type RunningPlace, createState, runOf } from "./job-state.js";
import {
  decodeJob,
  decodePlace,
  handles,
  jobs,
  keys,
  offers,
  pauseFlag,
  places,
  progresses,
  steps,
} from "./job-tables.js";
import type { Context, Primitive, StoredRows } from "./primitive.js";
import { STEP_ROWS } from "./turn.js";

const PAYLOAD_BYTES = 131_072;
const MAX_KEYS = 1_000_000;
const DEFAULT_PRIORITY = 5;
const DEFAULT_LEASE_MS = 30_000;
const DEFAULT_KEY_TTL_MS = 7 * 24 * 3_600_000;

export const job: Primitive<JobState, "job"> = {
  kind: "job",
  create: createState,
  configure(state, config) {
    state.config = config;
  },
  restore,
  opened,
  dueAt,
  wake,
  release,
  *owners(state) {
    for (const { place } of state.byRun.values()) yield runOf(place)!.by;
  },
  peek: (state, limit) => peek(state, limit) as unknown as Json[],
  rules: {
    "job.register": {
      run(_, { handleId, worker, hidden = false }, ctx) {
        ctx.put(handles, handleId, { owner: ctx.owner, worker, hidden });
        return null;
      },
    },
    "job.unregister": {
      run(state, { handleId }, ctx) {
        state.idle.delete(handleId);
        ctx.put(handles, handleId, undefined);
        return null;
      },
    },
    "job.submit": {
      run: submit,
      recall: () => null,
      usual: (reply) => reply === null,
    },
    "job.submitMany": {
      run: submitMany,
      recall: () => null,
      usual: (reply) => reply === null,
    },
    ...jobRunRules,
    "job.cancel": {
      run(state, { jobId, reason }, ctx) {
        const found = state.byId.get(jobId);
        if (found === undefined || found.place?.at === "done") return false;
        const error = reason === undefined ? {} : { error: { message: reason, code: "CANCELLED" } };
        settle(state, found, { status: "cancelled", ...error }, ctx);
        return true;
      },
      recall: () => true,
      usual: (reply) => reply,
    },
    "job.get": { run: get },
    "job.list": { run: list },
    "job.retryFailed": { run: retryFailed },
    "job.pause": {
      run(_, __, ctx) {
        ctx.put(pauseFlag, "paused", true);
        return null;
      },
      recall: () => null,
      usual: () => true,
    },
    "job.resume": {
      run(_, __, ctx) {
        ctx.put(pauseFlag, "paused", undefined);
        return null;
      },
      recall: () => null,
      usual: () => true,
    },
    "job.join": {
      run: join,
      waits: { lane: ({ jobId }) => jobId, none: () => null },
    },
    "job.anchor": {
      run: (state, { after }) => ({ generation: state.log.generation, ...state.log.anchor(after) }),
    },
    "job.read": { run: read },
    "job.stats": { run: stats },
  },
};

function submit(state: JobState, item: JobItem, ctx: Context): string | null {
  checkItem(item);
  const earlier = known(state, item, ctx.now);
  if (earlier !== undefined) return earlier;
  checkCapacity(state, item.key ? 1 : 0);
  enter(state, item, ctx);
  return null;
}

/** All or none: the ids that keys already named. */
function submitMany(state: JobState, { items }: Body<"job.submitMany">, ctx: Context): (string | null)[] | null {
  const firstOfKey = new Map<string, string>();
  const replies = items.map((item) => {
    checkItem(item);
    const earlier = known(state, item, ctx.now) ?? (item.key ? firstOfKey.get(item.key) : undefined);
    if (earlier === undefined && item.key) firstOfKey.set(item.key, item.jobId);
    return earlier ?? null;
  });
  checkCapacity(state, firstOfKey.size);
  items.forEach((item, i) => {
    if (replies[i] === null) enter(state, item, ctx);
  });
  return replies.every((id) => id === null) ? null : replies;
}

function checkCapacity(state: JobState, newKeys: number): void {
  if (newKeys > 0 && state.keys.size + newKeys > MAX_KEYS) throw new CapacityError({ bound: "keys", limit: MAX_KEYS });
}

function checkItem({ bytes, priority = DEFAULT_PRIORITY }: JobItem): void {
  if (bytes > PAYLOAD_BYTES) throw new PayloadTooLargeError({ limitBytes: PAYLOAD_BYTES, actualBytes: bytes });
  // Anything else has no line to stand in.
  if (!(priority >= 0 && priority <= 9)) throw new ValidationError("priority must be from 0 to 9");
}

/** The job that this one would be a second of. */
function known(state: JobState, { jobId, key }: JobItem, now: number): string | undefined {
  if (state.byId.has(jobId)) return jobId;
  return key ? keyHolder(state, key, now) : undefined;
}

function keyHolder(state: JobState, key: string, now: number): string | undefined {
  const remembered = state.keys.get(key);
  if (remembered === undefined) return undefined;
  return remembered.untilAt > now || isLive(state, remembered.jobId) ? remembered.jobId : undefined;
}

function isLive(state: JobState, jobId: string): boolean {
  const place = state.byId.get(jobId)?.place;
  return place !== undefined && place.at !== "done";
}

function enter(state: JobState, item: JobItem, ctx: Context): void {
  const { now } = ctx;
  state.seenAt = now;
  const key = item.key || undefined;
  const entered: Job = {
    seq: state.next++,
    jobId: item.jobId,
    input: item.input,
    meta: item.meta,
    key,
    keyTtlMs: item.keyTtlMs ?? DEFAULT_KEY_TTL_MS,
    orderingKey: item.orderingKey,
    priority: item.priority ?? DEFAULT_PRIORITY,
    maxAttempts: item.maxAttempts ?? 1,
    backoff: item.backoff,
    leaseMs: item.leaseMs ?? DEFAULT_LEASE_MS,
    submittedAt: now,
    ageFrom: Math.max(now, item.at ?? now + (item.delayMs ?? 0)),
    place: undefined,
    steps: undefined,
    progress: undefined,
  };
  ctx.put(jobs, entered, entered);
  if (key !== undefined) claimKey(entered, key, ctx);
  append(state, entered.jobId, { type: "submitted" }, ctx);
}

function claimKey({ jobId, keyTtlMs }: Job, key: string, ctx: Context): void {
  ctx.put(keys, key, { jobId, untilAt: ctx.now + keyTtlMs });
}

/** Back to the line, as if they had not been tried; their steps are kept. */
function retryFailed(state: JobState, { jobIds }: Body<"job.retryFailed">, ctx: Context): number {
  const chosen = jobIds ? [...new Set(jobIds)].map((id) => state.byId.get(id)) : [...state.finished];
  const failed = chosen.filter((found) => found?.place?.at === "done" && found.place.status === "failed");
  for (const again of failed as Job[]) {
    const order = state.next++;
    const tried = { failures: 0, crashes: 0, error: undefined, claimedAt: again.place!.claimedAt };
    ctx.put(places, again, { at: "ready", order, readyAt: ctx.now, asleep: undefined, ...tried });
    // Its key may be over, and is its own again unless another job has it.
    if (again.key !== undefined && keyHolder(state, again.key, ctx.now) === undefined) claimKey(again, again.key, ctx);
    append(state, again.jobId, { type: "submitted" }, ctx);
  }
  return failed.length;
}

const NO_LANES: readonly string[] = [];

function opened(state: JobState): Iterable<string> {
  const named = state.opened.length > 0 ? state.opened : NO_LANES;
  if (named !== NO_LANES) state.opened = [];
  return state.idle.size > 0 && isClaimable(state) ? withClaims(state, named) : named;
}

/** Claims first: they may end a run that somebody watches. */
function* withClaims(state: JobState, named: readonly string[]): Iterable<string> {
  yield* [...state.idle];
  yield* named;
  for (let name; (name = state.opened.pop());) yield name;
}

function dueAt(state: JobState): number {
  return Math.min(state.due.dueAt(), state.keysByEnd.dueAt(), forgetDueAt(state), trimDueAt(state), offerDueAt(state));
}

/** Too many are forgotten right after, not while they end: whoever waits for them is told first. */
function forgetDueAt({ finished, config }: JobState): number {
  const oldest = finished.first();
  if (oldest === undefined) return Infinity;
  return finished.length > config.retentionCount ? 0 : (oldest.place as DonePlace).finishedAt + config.retentionMs;
}

function wake(state: JobState, ctx: Context): void {
  const { now } = ctx;
  state.seenAt = now;
  // First, so that what ends now is told before it is forgotten.
  while (forgetDueAt(state) <= now) forget(state.finished.first()!, ctx);
  for (let ended; (ended = state.keysByEnd.take(now));) {
    // Of a live job it is not over: it is put anew when the job is done.
    if (!isLive(state, ended.remembered.jobId)) ctx.put(keys, ended.key, undefined);
  }
  for (let ended; (ended = state.due.take(now));) {
    const { job: due, place } = ended;
    if (place.at === "running") failAttempt(state, due, timeout(place, now), true, ctx);
    else if (place.at === "parked") wakeUp(state, due, place, ctx);
    else if (place.at === "delayed") {
      const { failures, crashes, error, claimedAt } = place;
      const tried = { failures, crashes, error, claimedAt };
      ctx.put(places, due, { at: "ready", order: state.next++, readyAt: now, asleep: undefined, ...tried });
    }
  }
  trimOld(state, ctx);
  if (offerDueAt(state) <= now) ctx.put(offers, "offer", now);
}

function timeout({ leaseMs, leaseUntil }: RunningPlace, now: number): { message: string; code: string } {
  const message = leaseUntil <= now ? `no sign of life for ${leaseMs} ms` : "the attempt took longer than timeoutMs";
  return { message, code: "TIMEOUT" };
}

function release(state: JobState, { owner, died }: { owner: string; died: boolean }, ctx: Context): void {
  const held = [...state.byRun.values()].filter(({ place }) => runOf(place)!.by === owner);
  // In an order that a restored hub would know, too.
  for (const job of held.sort((a, b) => a.seq - b.seq)) {
    const place = job.place!;
    if (died && place.at === "running") crash(state, job, place, ctx);
    else handBack(state, job, ctx);
  }
  for (const [handleId, handle] of [...state.handles]) {
    if (handle.owner !== owner) continue;
    state.idle.delete(handleId);
    ctx.put(handles, handleId, undefined);
  }
}

function* restore(state: JobState, rows: StoredRows): Generator<undefined> {
  let restored = 0;
  for (const { value } of rows.get(trims.letter) ?? []) trims.set(state, "trim", value as number);
  for (const { key, value } of rows.get(events.letter) ?? []) {
    const event = decodeEvent(Number(key), value);
    events.set(state, event, event);
  }
  const stored = new Map((rows.get(places.letter) ?? []).map(({ key, value }) => [key, decodePlace(value)]));
  const bySeq = new Map<string, Job>();
  for (const { key, value } of rows.get(jobs.letter) ?? []) {
    const job = decodeJob(Number(key), value);
    bySeq.set(key, job);
    jobs.set(state, job, job);
    const place = stored.get(key);
    if (place) places.set(state, job, place);
    const numbers = [job.seq, place && "order" in place ? place.order : 0, place?.at === "done" ? place.n : 0];
    state.next = Math.max(state.next, ...numbers.map((number) => number + 1));
    if (++restored % STEP_ROWS === 0) yield;
  }
  for (const { key, value } of rows.get(steps.letter) ?? []) {
    const [seq, index] = key.split("/") as [string, string];
    const [stepId, result] = value as [string, string | number];
    const owner = bySeq.get(seq);
    if (owner) steps.set(state, { job: owner, index: Number(index) }, { stepId, value: result });
  }
  for (const { key, value } of rows.get(progresses.letter) ?? []) {
    const owner = bySeq.get(key);
    if (owner) progresses.set(state, owner, value as string);
  }
  for (const { key, value } of rows.get(keys.letter) ?? []) {
    const [jobId, untilAt] = value as [string, number];
    keys.set(state, key, { jobId, untilAt });
  }
  if (rows.get(pauseFlag.letter)?.length) state.paused = true;
  // Nobody waits yet.
  state.opened = [];
}
