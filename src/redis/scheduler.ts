import { type Timetable, NEVER, timetable } from "../cron/cron.js";
import type { Body, DispatchFailure, Reply, SchedulerMetrics } from "../protocol/commands.js";
import { ValidationError, toWire } from "../protocol/errors.js";
import { newId } from "../protocol/ids.js";
import { checkMeta, manualRun } from "../protocol/scheduled-run.js";
import { isServed, submit } from "./scheduler-jobs.js";
import { SchedulerResident } from "./scheduler-leader.js";
import { type Schedule, infoOf, metricText, scheduleOf } from "./scheduler-rows.js";
import { type NextSlot, steps } from "./scheduler-steps.js";
import { type RedisKind, asBoolean } from "./script.js";

const MAX_PREVIEW = 1000;

export const schedulerKind: RedisKind<"scheduler", SchedulerResident> = {
  settings: ({ leaseMs, heartbeatMs, batchSize, dlqMaxEntries, graceMs, tickMs }) => ({
    leaseMs,
    heartbeatMs,
    batchSize,
    dlqMaxEntries,
    // A slot is never backlog because of the scheduler's own pace.
    graceMs: Math.max(graceMs, tickMs),
  }),
  resident: (tools) => new SchedulerResident(tools),
  steps,
  scripts: {
    "scheduler.start": {
      async run({ handleId }, resident) {
        await resident.start(handleId);
        return null;
      },
    },
    "scheduler.stop": {
      async run({ handleId }, resident) {
        await resident.stop(handleId);
        return null;
      },
    },
    "scheduler.register": { run: register },
    "scheduler.unregister": { run: unregister },
    "scheduler.trigger": { run: trigger },
    "scheduler.get": {
      lua: "scheduler-get",
      unordered: true,
      many: true,
      args: ({ scheduleId }) => [scheduleId],
      reply: ([, , item, progress]: [number, string, string | null, string | null]) =>
        item === null || progress === null ? null : infoOf(scheduleOf(item, progress)),
    },
    "scheduler.list": { lua: "scheduler-list", args: () => [], reply: listOf },
    "scheduler.preview": { run: preview },
    "scheduler.pause": {
      lua: "scheduler-pause",
      args: ({ scheduleId }) => [scheduleId],
      reply: asBoolean,
      repeatable: () => true,
    },
    "scheduler.resume": { run: resume },
    "scheduler.metrics": {
      run: async ({ handleId }, resident): Promise<SchedulerMetrics> => ({
        isLeader: resident.leads(handleId),
        leaderEpoch: await resident.tools.ask(steps.epoch, {}),
        ...resident.counters,
      }),
    },
    "scheduler.listDead": {
      lua: "scheduler-listDead",
      args: ({ limit }) => [limit],
      reply: (found: string[]) => found.map((text) => JSON.parse(text) as DispatchFailure),
    },
    "scheduler.stats": {
      lua: "scheduler-stats",
      args: () => [],
      reply: ([schedules, started, dead]: [number, number, number]) => ({ schedules, started, dead }),
    },
  },
  peek: async (port, limit) => (await port.call("scheduler.list", {})).slice(0, limit),
};

async function register(
  item: Body<"scheduler.register">,
  resident: SchedulerResident,
): Promise<Reply<"scheduler.register">> {
  const times = timetable(item.cron, item.tz);
  checkMeta(item.meta);
  const { tools } = resident;
  // Whoever registers brings a handler, which tells the job of itself just now: that comes first.
  await tools.visit(item.job).call("job.stats", {});
  const metric = metricText(tools.name, { scheduleId: item.scheduleId });
  const callId = newId();
  for (;;) {
    const slot = nextSlot(times, resident);
    const { now, made } = await tools.ask(steps.register, { item, slot, callId, metric });
    resident.noteTime(now);
    if (made >= 0) return { created: made === 1, updated: made === 0 };
  }
}

/** The next slot by this process's idea of the time: the script refuses what is not the next slot by the server's. */
function nextSlot({ next }: Timetable, resident: SchedulerResident): NextSlot {
  const since = resident.now();
  return { since, nextAt: next(since) };
}

async function unregister(
  { scheduleId }: Body<"scheduler.unregister">,
  { tools }: SchedulerResident,
): Promise<boolean> {
  const { schedule } = await tools.ask(steps.get, { scheduleId });
  const metric = metricText(tools.name, { scheduleId });
  await tools.ask(steps.unregister, { scheduleId, serial: schedule?.progress.serial ?? 0, metric });
  return schedule !== undefined;
}

/** Rejections are replies: they are counted. */
async function trigger(
  { scheduleId, runId: asked, key }: Body<"scheduler.trigger">,
  resident: SchedulerResident,
): Promise<Reply<"scheduler.trigger">> {
  const { tools } = resident;
  const { schedule } = await tools.ask(steps.get, { scheduleId });
  const rejected = schedule === undefined ? "missing_schedule" : "missing_handler";
  if (schedule === undefined || !(await isServed(tools, schedule))) {
    await resident.report({ type: "trigger_rejected", scheduleId, reason: rejected }, "triggerRejected");
    return { rejected };
  }
  let runId: string;
  try {
    const given = { runId: asked, ...(key === undefined ? {} : { key }) };
    runId = await submit(tools, schedule, manualRun({ name: tools.name, scheduleId }, given));
  } catch (error) {
    const failed = toWire(error);
    await resident.report({ type: "trigger_failed", scheduleId, message: failed.message }, "triggerFailed");
    return { failed };
  }
  const kept = schedule.item.overlap === "skip" ? [{ scheduleId, serial: schedule.progress.serial, runId }] : [];
  // It is submitted, whatever becomes of telling so.
  await resident.report({ type: "trigger_submitted", scheduleId, runId }, "triggerSubmitted", ...kept).catch(() => {});
  return runId === asked ? null : { duplicateOf: runId };
}

async function resume({ scheduleId }: Body<"scheduler.resume">, resident: SchedulerResident): Promise<boolean> {
  for (;;) {
    const { now, schedule } = await resident.tools.ask(steps.get, { scheduleId });
    resident.noteTime(now);
    if (schedule === undefined) return false;
    const { item, progress } = schedule;
    if (!progress.paused) return true;
    const slot = nextSlot(timetable(item.cron, item.tz), resident);
    const { done } = await resident.tools.ask(steps.resume, { scheduleId, revision: progress.revision, slot });
    if (done) return true;
  }
}

async function preview(body: Body<"scheduler.preview">, { tools }: SchedulerResident): Promise<number[]> {
  const asked = "cron" in body ? timetable(body.cron, body.tz) : undefined;
  const scheduleId = "cron" in body ? "" : body.scheduleId;
  const { now, schedule } = await tools.ask(steps.get, { scheduleId });
  const { next } = asked ?? timetableOf(schedule, scheduleId);
  const count = Math.min(body.count, MAX_PREVIEW);
  const slots: number[] = [];
  for (let slot = now; slots.length < count && (slot = next(slot)) < NEVER;) slots.push(slot);
  return slots;
}

function timetableOf(schedule: Schedule | undefined, scheduleId: string): Timetable {
  if (schedule === undefined) throw new ValidationError(`there is no schedule ${JSON.stringify(scheduleId)}`);
  return timetable(schedule.item.cron, schedule.item.tz);
}

/** In the order of code points, which is that of UTF-8. */
function listOf([items, progress]: [string[], string[]]): Reply<"scheduler.list"> {
  const byId = new Map(pairs(progress));
  return pairs(items)
    .map(([id, item]) => ({ bytes: Buffer.from(id), info: infoOf(scheduleOf(item, byId.get(id)!)) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ info }) => info);
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((text, i) => (i % 2 === 0 ? [[text, flat[i + 1]!]] : []) as [string, string][]);
}
