import fc from "fast-check";
import type { JobConfig, JobItem, OpenBody } from "../../src/protocol/commands.js";

export const SECOND = 1000;

export const jobConfig: JobConfig = {
  globalConcurrency: 0,
  maxCrashes: 2,
  timeoutMs: 0,
  retentionMs: 1e9,
  retentionCount: 1000,
};

export function jobNamed(
  id: string,
  config: Partial<JobConfig>,
  durability: OpenBody["durability"] = "relaxed",
): OpenBody {
  return {
    name: { prefix: "", kind: "job", tenantId: "default", id },
    config: { ...jobConfig, ...config },
    durability,
    seed: "GEN",
  };
}

/** Handles, and the tabs that they are in. */
export const HANDLES = ["h1", "h2", "h3"] as const;
const OWNERS: Readonly<Record<string, string>> = { h1: "tab a", h2: "tab a", h3: "tab b" };

export function ownerOf(handle: string): string {
  return OWNERS[handle]!;
}

interface Spec {
  delay: number;
  key: number;
  priority: number;
  ordering: number;
  attempts: number;
  backoff: number;
  lease: number;
}

export type JobStep =
  | { do: "submit"; items: Spec[] }
  | { do: "claim"; handle: string; max: number; wait: boolean }
  | { do: "complete" | "heartbeat" | "progress" | "release" | "watch"; which: number }
  | { do: "fail"; which: number; retry: boolean }
  | { do: "extend"; which: number; leaseMs: number }
  | { do: "step"; which: number; index: number }
  | { do: "sleep"; which: number; index: number; ms: number }
  | { do: "cancel" | "join"; which: number; reason: boolean }
  | { do: "retryFailed"; which: number[] | undefined }
  | { do: "pause" | "resume" }
  | { do: "register" | "unregister"; handle: string; worker: boolean }
  | { do: "gone"; owner: string; died: boolean }
  | { do: "advance"; ms: number };

const BACKOFFS: (JobItem["backoff"] | undefined)[] = [
  undefined,
  { kind: "fixed", baseMs: 3 * SECOND },
  { kind: "exp", baseMs: 2 * SECOND, maxMs: 5 * SECOND },
];

export function itemOf(jobId: string, spec: Spec): JobItem {
  const { delay, key, priority, ordering, attempts, backoff, lease } = spec;
  return {
    jobId,
    input: `"${jobId}"`,
    bytes: 1,
    priority,
    maxAttempts: attempts,
    leaseMs: lease,
    ...(delay > 0 ? { delayMs: delay } : {}),
    ...(key < 3 ? { key: `k${key}`, keyTtlMs: (key + 1) * 8 * SECOND } : {}),
    ...(ordering > 0 ? { orderingKey: `o${ordering}` } : {}),
    ...(BACKOFFS[backoff] ? { backoff: BACKOFFS[backoff] } : {}),
  };
}

const which = fc.nat(12);
const handle = fc.constantFrom(...HANDLES);
const spec: fc.Arbitrary<Spec> = fc.record({
  delay: fc.constantFrom(0, 0, 0, 1, 4 * SECOND),
  key: fc.nat(8),
  priority: fc.constantFrom(5, 5, 5, 0, 9),
  ordering: fc.constantFrom(0, 0, 1, 2),
  attempts: fc.constantFrom(1, 2, 3),
  backoff: fc.nat(2),
  lease: fc.constantFrom(5 * SECOND, 20 * SECOND),
});

const one = <Do extends string>(...words: Do[]): fc.Arbitrary<Do> => fc.constantFrom(...words);

export const jobStep: fc.Arbitrary<JobStep> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: one("submit"), items: fc.array(spec, { minLength: 1, maxLength: 3 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: one("claim"),
      handle,
      max: fc.constantFrom(1, 1, 3),
      wait: fc.constantFrom(true, true, false),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: one("complete", "complete", "heartbeat", "progress", "release", "watch"), which }),
  },
  { weight: 4, arbitrary: fc.record({ do: one("fail"), which, retry: fc.constantFrom(true, true, true, false) }) },
  { weight: 1, arbitrary: fc.record({ do: one("extend"), which, leaseMs: fc.constantFrom(1, 40 * SECOND) }) },
  { weight: 2, arbitrary: fc.record({ do: one("step"), which, index: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: one("sleep"),
      which,
      index: fc.nat(3),
      ms: fc.constantFrom(0, 3 * SECOND, 10 * SECOND),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: one("cancel", "join", "join"), which, reason: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: one("retryFailed"),
      which: fc.option(fc.array(which, { maxLength: 4 }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: one("pause", "resume", "resume") }) },
  { weight: 1, arbitrary: fc.record({ do: one("register", "register", "unregister"), handle, worker: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: one("gone"), owner: fc.constantFrom("tab a", "tab b"), died: fc.boolean() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: one("advance"),
      ms: fc.constantFrom(0, 1, SECOND, 3 * SECOND, 6 * SECOND, 11 * SECOND, 40 * SECOND),
    }),
  },
);

export const config: fc.Arbitrary<Partial<JobConfig>> = fc.record({
  globalConcurrency: fc.constantFrom(0, 0, 1, 2),
  maxCrashes: fc.constantFrom(0, 1, 5),
  timeoutMs: fc.constantFrom(0, 0, 12 * SECOND),
  retentionMs: fc.constantFrom(25 * SECOND, 1e9),
  retentionCount: fc.constantFrom(0, 2, 1000),
});
