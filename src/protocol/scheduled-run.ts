import { base32 } from "./base32.js";
import type { InstanceName } from "./commands.js";
import { ValidationError } from "./errors.js";
import type { JobItem } from "./job.js";
import { utf8Bytes } from "./json.js";
import type { ScheduleItem } from "./scheduler.js";

const SLOT_CHARS = 10;
const SEED_CHARS = 8;
const SERIAL_CHARS = 8;

/** What one run of a schedule adds to what all its runs have in common. */
export interface ScheduledRun extends Pick<JobItem, "jobId" | "key" | "keyTtlMs" | "at"> {
  readonly meta: Readonly<Record<string, string | number>>;
}

/** A schedule of a scheduler. `serial`: never given to another one; `seed`: the scheduler's. */
export interface Origin {
  readonly name: InstanceName;
  readonly seed: string;
  readonly scheduleId: string;
  readonly serial: number;
}

/** The run of a slot. Its id is always the same for the slot, and no other slot's of any scheduler. */
export function slotRun({ name, seed, scheduleId, serial }: Origin, slot: number, keyTtlMs: number): ScheduledRun {
  const origin = seed.padEnd(SEED_CHARS, "0").slice(0, SEED_CHARS);
  return {
    jobId: base32(slot, SLOT_CHARS) + origin + base32(serial, SERIAL_CHARS),
    key: keyOf(name, ["slot", scheduleId, slot]),
    keyTtlMs,
    at: slot,
    meta: { scheduleId, scheduleSlotTs: slot, schedulerId: name.id },
  };
}

/** A run that was asked for; with a key, one for that key. */
export function manualRun(
  { name, scheduleId }: Pick<Origin, "name" | "scheduleId">,
  { runId: jobId, key }: { runId: string; key?: string },
): ScheduledRun {
  const meta = { scheduleId, schedulerId: name.id, scheduleTrigger: "manual" };
  if (key === undefined) return { jobId, meta };
  return { jobId, key: keyOf(name, ["manual", scheduleId, key]), meta: { ...meta, scheduleManualKey: key } };
}

/** The run as its job takes it. */
export function runItem(
  schedule: Pick<ScheduleItem, "item" | "meta">,
  { meta: own, ...run }: ScheduledRun,
): JobItem & { meta: string } {
  const meta = merged(schedule.meta, JSON.stringify(own));
  return { ...schedule.item, ...run, meta, bytes: schedule.item.bytes + utf8Bytes(meta) };
}

/** @throws `ValidationError` when it is not the JSON text of an object. */
export function checkMeta(meta: string | undefined): void {
  if (meta !== undefined && !/^\{.*\}$/s.test(meta)) throw new ValidationError("meta must be an object");
}

/** One object of two, as texts: what users gave stays as it is. A name that both have is the second's. */
function merged(first: string | undefined, second: string): string {
  return first === undefined || first === "{}" ? second : `${first.slice(0, -1)},${second.slice(1)}`;
}

function keyOf({ prefix, tenantId, id }: InstanceName, [what, ...rest]: [string, ...(string | number)[]]): string {
  return JSON.stringify([what, prefix, tenantId, id, ...rest]);
}
