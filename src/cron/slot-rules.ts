import { TabloomError } from "../protocol/errors.js";
import type { ScheduleItem, SchedulerConfig, SchedulerCounts, SchedulerMetric } from "../protocol/scheduler.js";

/** How long a schedule rests whose zone is not known here any more. */
const BROKEN_REST_MS = 3_600_000;

/** Why the slot that is next does not run though its time came. Holds for that slot only. */
export interface Hold {
  readonly slot: number;
  /** A handler is missing; the job refused it; one tick's portion of backlog is used up; its zone is unknown here. */
  readonly why: "unserved" | "refused" | "portion" | "broken";
  readonly untilAt: number;
  /** Submits that were refused in this pass, and passes before it. */
  readonly tries: number;
  readonly passes: number;
}

type Untold<M> = M extends unknown ? Omit<M, "ts" | "schedulerId"> : never;
/** A metric, but for whose it is, and when. */
export type Told = Untold<SchedulerMetric>;
export type Count = Exclude<keyof SchedulerCounts, "lastTickAt">;

/** A slot whose time has come, in the hands of whoever runs what is due. */
export interface DueSlot {
  readonly scheduleId: string;
  readonly slotTs: number;
  /** That of its schedule; it may be another slot's. */
  readonly hold: Hold | undefined;
  readonly now: number;
  readonly config: SchedulerConfig;
}

/** What becomes of a slot, in this order: it is noted as dead, the schedule changes, it is told and counted. */
export type Verdict = {
  readonly reports: readonly (readonly [told: Told, count?: Count])[];
  /** Why it is put into the dlq. */
  readonly dead?: string;
} & (
  | { readonly hold: Hold }
  /** The schedule goes on at the first slot after it and after `until`. `runId`: it was submitted. */
  | { readonly hold?: undefined; readonly until: number; readonly runId?: string }
);

/** Slots up to here are backlog, those after it are on time. No slot is backlog because of the scheduler's own pace. */
export function horizonOf(now: number, { graceMs, tickMs }: SchedulerConfig): number {
  return now - Math.max(graceMs, tickMs) - 1;
}

/** Later in any case: what is due again at once would never let go. */
export function nextTickAt(now: number, { tickMs }: SchedulerConfig): number {
  return now + Math.max(1, tickMs);
}

/** Of a slot that is late. undefined: it may run. `backlog`: late slots of its schedule that this tick has served. */
export function misfire(
  slot: DueSlot,
  { misfire: asked, maxCatchUpRuns }: Pick<ScheduleItem, "misfire" | "maxCatchUpRuns">,
  backlog: number,
): Verdict | undefined {
  const horizon = horizonOf(slot.now, slot.config);
  if (slot.slotTs > horizon) return undefined;
  if (asked === "skip") return { until: horizon, reports: [skipped(slot, "misfire")] };
  if (asked === "catch_up_all" && backlog >= maxCatchUpRuns) return { hold: rest(slot, "portion"), reports: [] };
  return undefined;
}

/**
 * Nobody would run it. The slot waits and is tried again; it is reported once. Not strict: as soon as a second look
 * finds no handler either, what is due is left out.
 */
export function unserved(slot: DueSlot): Verdict {
  const known = holdOn(slot)?.why === "unserved";
  if (known && !slot.config.strictHandlers) return { until: slot.now, reports: [] };
  return { hold: rest(slot, "unserved"), reports: known ? [] : [skipped(slot, "missing_handler")] };
}

/** One of its last runs is still under way. */
export function overlapping(slot: DueSlot): Verdict {
  return { until: slot.slotTs, reports: [skipped(slot, "overlap")] };
}

export function submitted(slot: DueSlot, item: Pick<ScheduleItem, "misfire">, runId: string): Verdict {
  const told = { type: "dispatch_submitted", ...named(slot), runId } as const;
  return { until: lastServed(slot, item), runId, reports: [[told, "dispatchSubmitted"]] };
}

/** The job refuses: tries in growing distance make a pass; a pass that failed is in the dlq; after some the slot goes. */
export function refused(slot: DueSlot, item: Pick<ScheduleItem, "misfire">, error: unknown): Verdict {
  const { submitRetries, submitBackoffBaseMs, submitBackoffMaxMs, maxConsecutiveDispatchFailures } = slot.config;
  const { tries, passes } = holdOn(slot) ?? { tries: 0, passes: 0 };
  const message = messageOf(error);
  const about = { ...named(slot), message };
  const mayPass = error instanceof TabloomError && error.retryable;
  if (mayPass && tries < submitRetries) {
    const untilAt = slot.now + Math.min(submitBackoffMaxMs, submitBackoffBaseMs * 2 ** tries);
    const told = { type: "dispatch_retried", ...about, attempt: tries + 1 } as const;
    return { hold: rest(slot, "refused", { untilAt, tries: tries + 1, passes }), reports: [[told, "dispatchRetried"]] };
  }
  const givenUp = !mayPass || passes + 1 >= maxConsecutiveDispatchFailures;
  const reports = [
    [{ type: "dispatch_dlq", ...about }, "dispatchDlq"],
    ...(givenUp ? [[{ type: "dispatch_advanced_after_failures", ...named(slot) }] as const] : []),
    [{ type: "dispatch_failed", ...about }, "dispatchFailed"],
  ] as const;
  if (givenUp) return { until: lastServed(slot, item), dead: message, reports };
  return { hold: rest(slot, "refused", { passes: passes + 1 }), dead: message, reports };
}

/** Its schedule's zone is not known here. */
export function broken(slot: DueSlot, error: unknown): Verdict {
  const told = { type: "tick_error", scheduleId: slot.scheduleId, message: messageOf(error) } as const;
  return { hold: rest(slot, "broken", { untilAt: slot.now + BROKEN_REST_MS }), reports: [[told, "tickErrors"]] };
}

/** Of a backlog that catches up with one run, this is it. */
function lastServed({ slotTs, now, config }: DueSlot, { misfire: asked }: Pick<ScheduleItem, "misfire">): number {
  return asked === "catch_up_one" ? Math.max(slotTs, horizonOf(now, config)) : slotTs;
}

/** The hold on this very slot. */
function holdOn({ hold, slotTs }: DueSlot): Hold | undefined {
  return hold?.slot === slotTs ? hold : undefined;
}

function rest({ slotTs, now, config }: DueSlot, why: Hold["why"], change: Partial<Hold> = {}): Hold {
  return { slot: slotTs, why, untilAt: nextTickAt(now, config), tries: 0, passes: 0, ...change };
}

function skipped(slot: DueSlot, reason: "misfire" | "overlap" | "missing_handler") {
  return [{ type: "dispatch_skipped", ...named(slot), reason }, "dispatchSkipped"] as const;
}

const named = ({ scheduleId, slotTs }: DueSlot): { scheduleId: string; slotTs: number } => ({ scheduleId, slotTs });

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
