import fc from "fast-check";
import type { Configs } from "../../../src/protocol/commands.js";
import { type Step, answersAsTheEngine, asks } from "./differential.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Slots are at whole twenty minutes; histories look ten minutes after them. */
const LOOKS_AT = 10 * MINUTE;
const HANDLES = ["h1", "h2"];

/** What is tried again is tried between two looks. */
const config: fc.Arbitrary<Configs["scheduler"]> = fc.record({
  strictHandlers: fc.boolean(),
  graceMs: fc.constantFrom(LOOKS_AT + 30_500, 3 * HOUR),
  tickMs: fc.constant(5 * MINUTE),
  maxSubmitsPerTick: fc.constant(500),
  submitRetries: fc.constant(2),
  submitBackoffBaseMs: fc.constant(MINUTE),
  submitBackoffMaxMs: fc.constant(MINUTE),
  scheduledJobKeyTtlMs: fc.constant(90 * 24 * HOUR),
  // Which are the newest hangs on the order within a tick.
  dlqMaxEntries: fc.constant(10_000),
  maxConsecutiveDispatchFailures: fc.constant(2),
  leaseMs: fc.constant(60_000),
  heartbeatMs: fc.constant(6_000),
  batchSize: fc.constantFrom(2, 200),
});

const scheduleId = fc.constantFrom("a", "b", "é");
const handleId = fc.constantFrom(...HANDLES);
const cron = fc.constantFrom("0 * * * *", "*/20 * * * *", "40 3 * * *", "*/20 9-17 * * 1-5");

/** `served`: the job has a handler all the time, which takes what is submitted. Else handlers come and go. */
function step(served: boolean): fc.Arbitrary<Step> {
  const item = fc.constantFrom(
    { input: "1", bytes: 1 },
    // Once it was taken it is over by the next look.
    { input: '"é"', bytes: 4, maxAttempts: 1, leaseMs: 5 * MINUTE, priority: 3 },
    // More than a job takes: its slots fail.
    { input: '"too much"', bytes: 1_000_000 },
  );
  return fc.oneof(
    {
      weight: 6,
      arbitrary: asks(
        "scheduler.register",
        fc.record(
          {
            scheduleId,
            cron,
            tz: fc.constantFrom("UTC", "UTC", "Asia/Tokyo"),
            misfire: fc.constantFrom("skip", "catch_up_one", "catch_up_all"),
            maxCatchUpRuns: fc.constantFrom(1, 3, 100),
            overlap: fc.constantFrom("allow", "allow", "skip"),
            job: fc.constant("$job"),
            item,
            meta: fc.constantFrom("{}", '{"a":1}'),
          },
          { requiredKeys: ["scheduleId", "cron", "tz", "misfire", "maxCatchUpRuns", "overlap", "job", "item"] },
        ),
      ),
    },
    { weight: 1, arbitrary: asks("scheduler.unregister", fc.record({ scheduleId })) },
    { weight: 2, arbitrary: asks("scheduler.pause", fc.record({ scheduleId })) },
    { weight: 3, arbitrary: asks("scheduler.resume", fc.record({ scheduleId })) },
    {
      weight: 2,
      arbitrary: asks(
        "scheduler.trigger",
        fc.record(
          { scheduleId, runId: fc.constant("$new"), key: fc.constantFrom("k1", "k2") },
          { requiredKeys: ["scheduleId", "runId"] },
        ),
      ),
    },
    { weight: 4, arbitrary: asks("scheduler.start", fc.record({ handleId })) },
    { weight: 1, arbitrary: asks("scheduler.stop", fc.record({ handleId })) },
    { weight: 1, arbitrary: asks("scheduler.preview", fc.record({ scheduleId, count: fc.constant(3) })) },
    { weight: 1, arbitrary: asks("scheduler.get", fc.record({ scheduleId })) },
    ...(served ? takes : comeAndGo),
    {
      weight: 8,
      arbitrary: fc.constantFrom(20 * MINUTE, HOUR, 3 * HOUR, 26 * HOUR, 80 * HOUR).map((advanceMs) => ({ advanceMs })),
    },
  );
}

const takes = [
  {
    weight: 4,
    arbitrary: asks("job.claim", fc.constant({ runId: "$new", handleId: "w", max: 1000, waitMs: 0 })),
  },
];
const comeAndGo = [
  { weight: 4, arbitrary: asks("job.register", fc.record({ handleId, worker: fc.boolean() })) },
  { weight: 1, arbitrary: asks("job.unregister", fc.record({ handleId })) },
];

const look = [
  { op: "scheduler.list", body: {} },
  { op: "scheduler.stats", body: {} },
  { op: "scheduler.metrics", body: { handleId: "h1" } },
  { op: "scheduler.listDead", body: { limit: 100 } },
  { op: "job.list", body: { limit: 1000 } },
] as const;

/** To ten minutes after a slot: the real time of a history is nothing beside that. */
const begin = (now: number): Step => ({ advanceMs: Math.ceil(now / HOUR) * HOUR + LOOKS_AT - now });
const handler: Step = { op: "job.register", body: { handleId: "w", worker: true } };

for (const served of [true, false]) {
  answersAsTheEngine(`a scheduler whose job ${served ? "has a handler" : "has handlers that come and go"}`, {
    kind: "scheduler",
    runs: 100,
    job: { globalConcurrency: 0, maxCrashes: 5, timeoutMs: 0, retentionMs: 1e12, retentionCount: 100_000 },
    config,
    step: step(served),
    look,
    first: (now) => (served ? [begin(now), handler] : [begin(now)]),
    goesOn: true,
    last: HANDLES.map((id) => ({ op: "scheduler.stop", body: { handleId: id } })),
    // Epochs of Redis are times, and what a slot's run is called hangs on the scheduler's seed.
    leaveOut: /^(leaderEpoch|jobId|runId)$/,
    // Slots of several schedules that are due in one tick.
    inAnyOrder: /^job\.|listDead/,
    sameTimes: /^(nextRunAt|lastRunAt|slotTs)$/,
  });
}
