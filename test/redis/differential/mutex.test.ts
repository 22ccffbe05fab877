import fc from "fast-check";
import { type Step, answersAsTheEngine, asks, waitMs } from "./differential.js";

const resource = fc.constantFrom("r", "r:1", "é");
/** Of those that waited, too. */
const value = fc.nat({ max: 9 }).map((n) => (n < 8 ? `v${n}` : `$${n - 8}`));
const mode = fc.constantFrom("exclusive", "shared");
const ttlMs = fc.constantFrom(500, 2_500, 40_500);

function step(): fc.Arbitrary<Step> {
  return fc.oneof(
    {
      weight: 6,
      arbitrary: asks("mutex.acquire", fc.record({ resource, value, ttlMs, mode, waitMs: fc.constant(0) })),
    },
    {
      weight: 3,
      arbitrary: asks("mutex.acquire", fc.record({ resource, value: fc.constant("$new"), ttlMs, mode, waitMs })),
    },
    { weight: 3, arbitrary: asks("mutex.release", fc.record({ resource, value })) },
    { weight: 3, arbitrary: asks("mutex.extend", fc.record({ resource, value, ttlMs })) },
    { weight: 3, arbitrary: fc.constantFrom(1000, 3000, 41_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "mutex.stats", body: {} },
  { op: "mutex.query", body: { resource: "r" } },
  { op: "mutex.query", body: { resource: "r:1" } },
] as const;

/** From then on a process hears what it waits for. */
const WAIT: Step = {
  op: "mutex.acquire",
  body: { resource: "first", value: "first", ttlMs: 500, mode: "exclusive", waitMs: 1 },
};

answersAsTheEngine("a mutex", {
  kind: "mutex",

  config: fc.constant({}),
  step: step(),
  look,
  // Numbers of their own: that they grow is tested elsewhere.
  leaveOut: /^token$/,
  first: () => [WAIT, { advanceMs: 1000 }],
});
