import fc from "fast-check";
import type { Configs, JobItem } from "../../../src/protocol/commands.js";
import { type Step, answersAsTheEngine, asks, waitMs } from "./differential.js";

const config: fc.Arbitrary<Configs["job"]> = fc.record({
  globalConcurrency: fc.constantFrom(0, 0, 2),
  maxCrashes: fc.constant(2),
  timeoutMs: fc.constantFrom(0, 0, 25_500),
  retentionMs: fc.constantFrom(15_500, 1_000_000_500),
  retentionCount: fc.constantFrom(2, 1000),
});

/** Few names, so that later steps meet what earlier ones made. */
const runId = fc.oneof(
  { weight: 3, arbitrary: fc.nat({ max: 11 }).map((n) => `r${n}`) },
  { weight: 1, arbitrary: fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: 2 })).map(([n, i]) => `r${n}.${i}`) },
);
const handleId = fc.constantFrom("h1", "h2");
const text = fc.constantFrom("1", '"é"', "");
const leaseMs = fc.constantFrom(5_500, 20_500);
const backoff = fc.constantFrom<NonNullable<JobItem["backoff"]>[]>(
  { kind: "fixed", baseMs: 3_500 },
  { kind: "exp", baseMs: 2_500, maxMs: 5_500 },
);

function step(): fc.Arbitrary<Step> {
  const jobId = fc.nat({ max: 7 }).map((n) => `$${n}`);
  const item = fc
    .record(
      {
        input: text,
        bytes: fc.constant(1),
        key: fc.constantFrom("k1", "k:2", "é"),
        keyTtlMs: fc.constantFrom(2_500, 40_500),
        delayMs: fc.constantFrom(500, 4_500),
        maxAttempts: fc.constantFrom(1, 2, 3),
        backoff,
        leaseMs,
        meta: fc.constantFrom("{}", '{"a":1}'),
        priority: fc.constantFrom(5, 5, 0, 9),
        orderingKey: fc.constantFrom("o1", "o:2"),
      },
      { requiredKeys: ["input", "bytes", "leaseMs"] },
    )
    .map((fields) => ({ jobId: "$new", ...fields }));
  const error = fc.record(
    { message: fc.constantFrom("boom", 'a "b"\nc', ""), code: fc.constantFrom("E", "TIMEOUT") },
    { requiredKeys: ["message"] },
  );
  const outcome = fc.oneof(fc.record({ result: text }), fc.record({ error, retry: fc.boolean() }));
  const at = { runId, index: fc.nat({ max: 2 }), stepId: fc.constantFrom("s0", "s1", "s2") };
  return fc.oneof(
    { weight: 6, arbitrary: asks("job.submit", item) },
    { weight: 2, arbitrary: asks("job.submitMany", fc.record({ items: fc.array(item, { maxLength: 4 }) })) },
    {
      weight: 8,
      arbitrary: asks(
        "job.claim",
        fc.record({
          runId: fc.nat({ max: 11 }).map((n) => `r${n}`),
          handleId,
          max: fc.constantFrom(1, 1, 3),
          waitMs: fc.constant(0),
        }),
      ),
    },
    {
      weight: 2,
      arbitrary: asks(
        "job.claim",
        fc.record({ runId: fc.constant("$new"), handleId: fc.constant("waiting"), max: fc.constant(1), waitMs }),
      ),
    },
    {
      weight: 1,
      arbitrary: asks("job.join", fc.record({ jobId, waitMs })),
    },
    { weight: 5, arbitrary: asks("job.finish", fc.record({ runId, outcome })) },
    { weight: 2, arbitrary: asks("job.heartbeat", fc.record({ runId, leaseMs }, { requiredKeys: ["runId"] })) },
    { weight: 1, arbitrary: asks("job.progress", fc.record({ runId, value: text })) },
    { weight: 1, arbitrary: asks("job.log", fc.record({ runId, text: fc.constantFrom("hi", 'a "b"\nc') })) },
    { weight: 2, arbitrary: asks("job.step", fc.record({ ...at, value: text })) },
    { weight: 2, arbitrary: asks("job.sleep", fc.record({ ...at, ms: fc.constantFrom(500, 7_500) })) },
    { weight: 1, arbitrary: asks("job.release", fc.record({ runIds: fc.array(runId, { maxLength: 2 }) })) },
    {
      weight: 2,
      arbitrary: asks(
        "job.cancel",
        fc.record({ jobId, reason: fc.constantFrom("why", "") }, { requiredKeys: ["jobId"] }),
      ),
    },
    { weight: 2, arbitrary: asks("job.get", fc.record({ jobId })) },
    { weight: 2, arbitrary: asks("job.join", fc.record({ jobId, waitMs: fc.constant(0) })) },
    { weight: 1, arbitrary: asks("job.watch", fc.record({ runId, jobId, waitMs: fc.constant(0) })) },
    {
      weight: 1,
      arbitrary: asks(
        "job.retryFailed",
        fc.record({ jobIds: fc.array(jobId, { maxLength: 2 }) }, { requiredKeys: [] }),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("job.pause" as const, "job.resume" as const).map((op) => ({ op, body: {} })),
    },
    { weight: 1, arbitrary: asks("job.register", fc.record({ handleId, worker: fc.boolean() })) },
    { weight: 1, arbitrary: asks("job.unregister", fc.record({ handleId })) },
    {
      weight: 1,
      arbitrary: asks(
        "job.list",
        fc.record(
          {
            status: fc.constantFrom("submitted", "running", "failed", "completed", "delayed"),
            limit: fc.constantFrom(2, 100),
          },
          { requiredKeys: ["limit"] },
        ),
      ),
    },
    {
      weight: 1,
      arbitrary: asks("job.read", fc.record({ jobId, after: fc.nat({ max: 12 }), limit: fc.constantFrom(2, 500) })),
    },
    { weight: 4, arbitrary: fc.constantFrom(1000, 6000, 31_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "job.stats", body: {} },
  { op: "job.list", body: { limit: 100 } },
] as const;

/** From then on a process hears what it waits for. */
const WAIT: Step = { op: "job.claim", body: { runId: "first", handleId: "h1", max: 1, waitMs: 1 } };

answersAsTheEngine("a job", {
  kind: "job",

  config,
  step: step(),
  look,
  leaveOut: /^(handlers|workers)$/,
  // A handle that works is known first.
  leadIn: ({ op, body }) =>
    op === "job.claim"
      ? { op: "job.register", body: { handleId: (body as { handleId: string }).handleId, worker: true } }
      : undefined,
  first: () => [WAIT],
});
