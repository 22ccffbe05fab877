import fc from "fast-check";
import { afterAll, beforeAll, test } from "vitest";
import type { Configs, JobItem } from "../../../src/protocol/commands.js";
import { type Server, startServer } from "../server.js";
import { type Step, compareWithEngine } from "./differential.js";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

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
  const of = (op: Extract<Step, { op: unknown }>["op"], body: fc.Arbitrary<unknown>): fc.Arbitrary<Step> =>
    body.map((given) => ({ op, body: given }));
  const error = fc.record(
    { message: fc.constantFrom("boom", 'a "b"\nc', ""), code: fc.constantFrom("E", "TIMEOUT") },
    { requiredKeys: ["message"] },
  );
  const outcome = fc.oneof(fc.record({ result: text }), fc.record({ error, retry: fc.boolean() }));
  const at = { runId, index: fc.nat({ max: 2 }), stepId: fc.constantFrom("s0", "s1", "s2") };
  return fc.oneof(
    { weight: 6, arbitrary: of("job.submit", item) },
    { weight: 2, arbitrary: of("job.submitMany", fc.record({ items: fc.array(item, { maxLength: 4 }) })) },
    {
      weight: 8,
      arbitrary: of(
        "job.claim",
        fc.record({
          runId: fc.nat({ max: 11 }).map((n) => `r${n}`),
          handleId,
          max: fc.constantFrom(1, 1, 3),
          waitMs: fc.constant(0),
        }),
      ),
    },
    { weight: 5, arbitrary: of("job.finish", fc.record({ runId, outcome })) },
    { weight: 2, arbitrary: of("job.heartbeat", fc.record({ runId, leaseMs }, { requiredKeys: ["runId"] })) },
    { weight: 1, arbitrary: of("job.progress", fc.record({ runId, value: text })) },
    { weight: 1, arbitrary: of("job.log", fc.record({ runId, text: fc.constantFrom("hi", 'a "b"\nc') })) },
    { weight: 2, arbitrary: of("job.step", fc.record({ ...at, value: text })) },
    { weight: 2, arbitrary: of("job.sleep", fc.record({ ...at, ms: fc.constantFrom(500, 7_500) })) },
    { weight: 1, arbitrary: of("job.release", fc.record({ runIds: fc.array(runId, { maxLength: 2 }) })) },
    {
      weight: 2,
      arbitrary: of(
        "job.cancel",
        fc.record({ jobId, reason: fc.constantFrom("why", "") }, { requiredKeys: ["jobId"] }),
      ),
    },
    { weight: 2, arbitrary: of("job.get", fc.record({ jobId })) },
    { weight: 2, arbitrary: of("job.join", fc.record({ jobId, waitMs: fc.constant(0) })) },
    { weight: 1, arbitrary: of("job.watch", fc.record({ runId, jobId, waitMs: fc.constant(0) })) },
    {
      weight: 1,
      arbitrary: of("job.retryFailed", fc.record({ jobIds: fc.array(jobId, { maxLength: 2 }) }, { requiredKeys: [] })),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("job.pause" as const, "job.resume" as const).map((op) => ({ op, body: {} })),
    },
    { weight: 1, arbitrary: of("job.register", fc.record({ handleId, worker: fc.boolean() })) },
    { weight: 1, arbitrary: of("job.unregister", fc.record({ handleId })) },
    {
      weight: 1,
      arbitrary: of(
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
      arbitrary: of("job.read", fc.record({ jobId, after: fc.nat({ max: 12 }), limit: fc.constantFrom(2, 500) })),
    },
    { weight: 4, arbitrary: fc.constantFrom(1000, 6000, 31_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "job.stats", body: {} },
  { op: "job.list", body: { limit: 100 } },
] as const;

test("a job on Redis answers as the engine does", { timeout: 120_000 }, async () => {
  await compareWithEngine({
    kind: "job",
    url: server.url,
    runs: 200,
    config,
    step: step(),
    look,
    leaveOut: /^(handlers|workers)$/,
  });
});
