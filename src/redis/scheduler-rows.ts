import type { Hold, Told } from "../cron/slot-rules.js";
import type { InstanceName, ScheduleInfo, ScheduleItem } from "../protocol/commands.js";
import { instanceKey } from "../protocol/names.js";
import { scheduleInfo } from "../protocol/scheduler.js";

/** How far a schedule came, as lua/prelude-scheduler.lua writes it: words, "-" for none. */
export interface Progress {
  readonly revision: number;
  readonly serial: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly nextRunAt: number;
  readonly lastRunAt: number | null;
  readonly paused: boolean;
  /** Ids of the last scheduled run and the last manual one, "" before them: what `overlap: "skip"` looks at. */
  readonly lastRunId: string;
  readonly manualRunId: string;
  readonly hold: Hold | undefined;
}

export interface Schedule {
  readonly item: ScheduleItem;
  readonly progress: Progress;
}

export function scheduleOf(item: string, progress: string): Schedule {
  return { item: JSON.parse(item) as ScheduleItem, progress: progressOf(progress.split(" ")) };
}

function progressOf(words: readonly string[]): Progress {
  const [revision, serial, , createdAt, updatedAt, nextRunAt, lastRunAt, paused, lastRunId, manualRunId] = words;
  const [slot, why, untilAt, tries, passes] = words.slice(10);
  return {
    revision: Number(revision),
    serial: Number(serial),
    createdAt: Number(createdAt),
    updatedAt: Number(updatedAt),
    nextRunAt: Number(nextRunAt),
    lastRunAt: lastRunAt === "-" ? null : Number(lastRunAt),
    paused: paused === "1",
    lastRunId: lastRunId === "-" ? "" : lastRunId!,
    manualRunId: manualRunId === "-" ? "" : manualRunId!,
    hold:
      slot === "-"
        ? undefined
        : {
            slot: Number(slot),
            why: why as Hold["why"],
            untilAt: Number(untilAt),
            tries: Number(tries),
            passes: Number(passes),
          },
  };
}

/** What an advance may change, in the order of lua/scheduler-advance.lua. */
export function changedWords({ nextRunAt, lastRunAt, lastRunId, hold }: Progress): (string | number)[] {
  const held = hold === undefined ? ["-", "-", 0, 0, 0] : [hold.slot, hold.why, hold.untilAt, hold.tries, hold.passes];
  return [nextRunAt, lastRunAt ?? "-", lastRunId || "-", ...held];
}

export function infoOf({ item, progress }: Schedule): ScheduleInfo {
  return scheduleInfo(item.scheduleId, item, progress);
}

/** What decides whether a schedule that is registered again keeps its next slot. */
export const timingOf = ({ cron, tz }: ScheduleItem): string => JSON.stringify([cron, tz]);

export const jobKeyOf = ({ job }: ScheduleItem): string => instanceKey(job.name);

/** Fields of a metric as JSON, without the braces; the script adds the time. */
export function metricText({ id }: InstanceName, told: Partial<Told>): string {
  return JSON.stringify({ ...told, schedulerId: id }).slice(1, -1);
}
