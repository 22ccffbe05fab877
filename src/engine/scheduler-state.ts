import type {
  DispatchFailure,
  InstanceName,
  ScheduleInfo,
  ScheduleItem,
  SchedulerConfig,
  SchedulerCounts,
} from "../protocol/commands.js";
import type { Json } from "../protocol/json.js";
import { instanceKey } from "../protocol/names.js";
import { NO_COUNTS, scheduleInfo } from "../protocol/scheduler.js";
import { type Timetable, timetable } from "../cron/cron.js";
import type { Hold } from "../cron/slot-rules.js";
import { DueHeap } from "./due-heap.js";
import { Line } from "./line.js";
import type { StoredRows, Table } from "./primitive.js";

/** What was registered. */
export interface Definition extends Omit<ScheduleItem, "scheduleId"> {
  /** Never given to another schedule: ids of runs are made of it. */
  readonly serial: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** How far it came. A row of its own, so that an advance writes no payload. */
export interface Progress {
  readonly nextRunAt: number;
  /** The slot that was submitted last. */
  readonly lastRunAt: number | null;
  /** Ids of the last scheduled run and the last manual one, "" before them: what `overlap: "skip"` looks at. */
  readonly lastRunId: string;
  readonly manualRunId: string;
  readonly paused: boolean;
}

export interface Schedule {
  readonly id: string;
  definition: Definition;
  /** undefined only between its two rows. */
  progress: Progress | undefined;
  hold: Hold | undefined;
  /** Made when it is first needed. */
  timetable: Timetable | undefined;
}

export interface Marks {
  readonly epoch: number;
  /** The last serial given. */
  readonly serial: number;
}

export interface Counters extends Readonly<SchedulerCounts> {
  /** Until when nothing more is submitted: a tick submitted all that it may. */
  readonly restsUntil: number;
}

export interface Dead extends Pick<DispatchFailure, "scheduleId" | "slotTs" | "message" | "ts" | "leaderEpoch"> {
  readonly n: number;
}

export interface SchedulerState {
  config: SchedulerConfig;
  readonly name: InstanceName;
  readonly seed: string;
  readonly schedules: Map<string, Schedule>;
  readonly due: DueHeap<Schedule>;
  /** Handles that have started, and their tabs. */
  readonly started: Map<string, string>;
  marks: Marks;
  counters: Counters;
  readonly dead: Line<Dead>;
}

const NO_MARKS: Marks = { epoch: 0, serial: 0 };

const NO_COUNTERS: Counters = { ...NO_COUNTS, restsUntil: 0 };

export function createState(config: SchedulerConfig, seed: string, name: InstanceName): SchedulerState {
  const state: SchedulerState = {
    config,
    name,
    seed,
    schedules: new Map(),
    due: new DueHeap((schedule, at) => state.schedules.get(schedule.id) === schedule && wakeAt(schedule) === at),
    started: new Map(),
    marks: NO_MARKS,
    counters: NO_COUNTERS,
    dead: new Line((dead) => dead.n),
  };
  return state;
}

/** When there is something to do about a schedule, or Infinity. */
function wakeAt({ progress, hold }: Schedule): number {
  if (progress === undefined || progress.paused) return Infinity;
  return hold?.slot === progress.nextRunAt ? Math.max(progress.nextRunAt, hold.untilAt) : progress.nextRunAt;
}

export function timetableOf(schedule: Schedule): Timetable {
  return (schedule.timetable ??= timetable(schedule.definition.cron, schedule.definition.tz));
}

export function jobKeyOf({ definition }: Schedule): string {
  return instanceKey(definition.job.name);
}

export function infoOf({ id, definition, progress }: Schedule): ScheduleInfo {
  return scheduleInfo(id, definition, { ...definition, ...progress! });
}

/** Notes when the schedule is due, anew after it was taken from `due`. */
export function plan(state: SchedulerState, schedule: Schedule): void {
  const at = wakeAt(schedule);
  if (at < Infinity) state.due.add(at, schedule, schedule.definition.serial);
}

export const definitions: Table<SchedulerState, string, Definition> = {
  letter: "s",
  key: (id) => id,
  get: (state, id) => state.schedules.get(id)?.definition,
  set(state, id, definition) {
    const schedule = state.schedules.get(id);
    if (definition === undefined) state.schedules.delete(id);
    else if (schedule) {
      schedule.definition = definition;
      schedule.timetable = undefined;
    } else {
      state.schedules.set(id, { id, definition, progress: undefined, hold: undefined, timetable: undefined });
    }
  },
  encode: (definition) => definition as unknown as Json,
};

export const progresses: Table<SchedulerState, string, Progress> = {
  letter: "p",
  key: (id) => id,
  get: (state, id) => state.schedules.get(id)?.progress,
  set(state, id, progress) {
    const schedule = state.schedules.get(id);
    if (schedule === undefined) return;
    schedule.progress = progress;
    plan(state, schedule);
  },
  encode: ({ nextRunAt, lastRunAt, paused, lastRunId, manualRunId }) => [
    nextRunAt,
    lastRunAt,
    paused ? 1 : 0,
    lastRunId,
    manualRunId,
  ],
};

export const holds: Table<SchedulerState, string, Hold> = {
  letter: "h",
  fleeting: true,
  key: (id) => id,
  get: (state, id) => state.schedules.get(id)?.hold,
  set(state, id, hold) {
    const schedule = state.schedules.get(id);
    if (schedule === undefined) return;
    schedule.hold = hold;
    plan(state, schedule);
  },
  encode: () => null,
};

export const starts: Table<SchedulerState, string, string> = {
  letter: "a",
  fleeting: true,
  key: (handleId) => handleId,
  get: (state, handleId) => state.started.get(handleId),
  set(state, handleId, owner) {
    if (owner === undefined) state.started.delete(handleId);
    else state.started.set(handleId, owner);
  },
  encode: () => null,
};

export const marks: Table<SchedulerState, "marks", Marks> = {
  letter: "m",
  key: (only) => only,
  get: (state) => (state.marks === NO_MARKS ? undefined : state.marks),
  set(state, _, value) {
    state.marks = value ?? NO_MARKS;
  },
  encode: ({ epoch, serial }) => [epoch, serial],
};

export const counters: Table<SchedulerState, "counters", Counters> = {
  letter: "c",
  fleeting: true,
  key: (only) => only,
  get: (state) => state.counters,
  set(state, _, value) {
    state.counters = value ?? NO_COUNTERS;
  },
  encode: () => null,
};

export const deadEntries: Table<SchedulerState, Dead, Dead> = {
  letter: "d",
  key: ({ n }) => n,
  get: (state, { n }) => {
    const found = state.dead.at(state.dead.search(n));
    return found?.n === n ? found : undefined;
  },
  set(state, dead, value) {
    const before = deadEntries.get(state, dead);
    if (before) state.dead.remove(before);
    if (value) state.dead.insert(value);
  },
  encode: ({ scheduleId, slotTs, message, ts, leaderEpoch }) => [scheduleId, slotTs, message, ts, leaderEpoch],
};

export function restore(state: SchedulerState, rows: StoredRows): void {
  for (const { value } of rows.get(marks.letter) ?? []) {
    const [epoch, serial] = value as [number, number];
    state.marks = { epoch, serial };
  }
  for (const { key, value } of rows.get(definitions.letter) ?? []) {
    definitions.set(state, key, value as unknown as Definition);
  }
  for (const { key, value } of rows.get(progresses.letter) ?? []) {
    const [nextRunAt, lastRunAt, paused, lastRunId, manualRunId] = value as [
      number,
      number | null,
      number,
      string,
      string,
    ];
    progresses.set(state, key, { nextRunAt, lastRunAt, paused: paused === 1, lastRunId, manualRunId });
  }
  // Half a schedule: storage that keeps rows one by one lost the other half.
  for (const { id, progress } of [...state.schedules.values()]) if (!progress) state.schedules.delete(id);
  for (const { key, value } of rows.get(deadEntries.letter) ?? []) {
    const [scheduleId, slotTs, message, ts, leaderEpoch] = value as [string, number, string, number, number];
    const dead = { n: Number(key), scheduleId, slotTs, message, ts, leaderEpoch };
    deadEntries.set(state, dead, dead);
  }
}
