import type { ScheduleItem, SchedulerConfig } from "../protocol/commands.js";
import { type Progress, type Schedule, changedWords, jobKeyOf, scheduleOf, timingOf } from "./scheduler-rows.js";
import { asIs, asNull, step } from "./script.js";

/** A slot that was computed, and since when it is the next: what is stored is right at any time between the two. */
export interface NextSlot {
  readonly nextAt: number;
  readonly since: number;
}

export interface Standing {
  readonly now: number;
  readonly leads: boolean;
  readonly epoch: number;
  /** How long the leader, whoever it is, stays leader if it says nothing. */
  readonly leftMs: number;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** -1: nothing is due. */
  readonly dueIn: number;
}

export interface Page {
  readonly now: number;
  readonly seed: string;
  readonly config: SchedulerConfig;
  readonly dueIn: number;
  readonly schedules: readonly Schedule[];
}

/** One change of a schedule by the leader. */
export interface Advance {
  readonly epoch: number;
  readonly scheduleId: string;
  /** What was read. */
  readonly revision: number;
  readonly progress: Progress;
  readonly dead?: string;
  readonly metrics: readonly string[];
}

export const steps = {
  contend: step({
    lua: "scheduler-contend",
    args: (
      { mayLead, metric, handles }: { mayLead: boolean; metric: string; handles: Iterable<string> },
      { owner },
    ) => [owner, mayLead ? 1 : 0, metric, ...handles],
    reply: ([now, leads, epoch, leftMs, leaseMs, heartbeatMs, dueIn]: number[]): Standing => ({
      now: now!,
      leads: leads === 1,
      epoch: epoch!,
      leftMs: leftMs!,
      leaseMs: leaseMs!,
      heartbeatMs: heartbeatMs!,
      dueIn: dueIn!,
    }),
  }),
  resign: step({
    lua: "scheduler-resign",
    args: (
      { how, metric, handles }: { how: "stay" | "yield" | "leave"; metric: string; handles: Iterable<string> },
      { owner },
    ) => [owner, how, metric, ...handles],
    reply: (led: number): boolean => led === 1,
  }),
  register: step({
    lua: "scheduler-register",
    args: ({ item, slot, callId, metric }: { item: ScheduleItem; slot: NextSlot; callId: string; metric: string }) => [
      item.scheduleId,
      JSON.stringify(item),
      timingOf(item),
      jobKeyOf(item),
      slot.nextAt,
      slot.since,
      callId,
      metric,
    ],
    reply: ([now, made]: [number, number]) => ({ now, made }),
  }),
  unregister: step({
    lua: "scheduler-unregister",
    args: ({ scheduleId, serial, metric }: { scheduleId: string; serial: number; metric: string }) => [
      scheduleId,
      serial,
      metric,
    ],
    reply: asNull,
  }),
  get: step({
    lua: "scheduler-get",
    many: true,
    args: ({ scheduleId }: { scheduleId: string }) => [scheduleId],
    reply: ([now, seed, item, progress]: [number, string, string | null, string | null]) => ({
      now,
      seed,
      schedule: item === null || progress === null ? undefined : scheduleOf(item, progress),
    }),
  }),
  resume: step({
    lua: "scheduler-resume",
    args: ({ scheduleId, revision, slot }: { scheduleId: string; revision: number; slot: NextSlot }) => [
      scheduleId,
      revision,
      slot.nextAt,
      slot.since,
    ],
    reply: ([now, done]: [number, number]) => ({ now, done: done === 1 }),
  }),
  /** undefined: another process leads. */
  due: step({
    lua: "scheduler-due",
    args: ({ epoch }: { epoch: number }, { owner }) => [owner, epoch],
    reply: (raw: [number, string, string, number, string[]] | null): Page | undefined => {
      if (raw === null) return undefined;
      const [now, seed, config, dueIn, found] = raw;
      const schedules: Schedule[] = [];
      for (let i = 0; i < found.length; i += 3) schedules.push(scheduleOf(found[i + 1]!, found[i + 2]!));
      return { now, seed, config: JSON.parse(config) as SchedulerConfig, dueIn, schedules };
    },
  }),
  /** The new revision; 0: the schedule is another by now; -1: another process leads. */
  advance: step({
    lua: "scheduler-advance",
    many: true,
    args: ({ epoch, scheduleId, revision, progress, dead = "", metrics }: Advance, { owner }) => [
      owner,
      epoch,
      scheduleId,
      revision,
      ...changedWords(progress),
      dead,
      metrics.join("\n"),
    ],
    reply: (revision: number): number => revision,
  }),
  report: step({
    lua: "scheduler-report",
    args: ({ metric, run }: { metric: string; run?: { scheduleId: string; serial: number; runId: string } }) =>
      run === undefined ? [metric, "", "", ""] : [metric, run.scheduleId, run.serial, run.runId],
    reply: asNull,
  }),
  epoch: step<object, number>({
    lua: "scheduler-epoch",
    args: () => [],
    reply: asIs,
  }),
} as const;
