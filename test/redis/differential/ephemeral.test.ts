import fc from "fast-check";
import type { Configs } from "../../../src/protocol/commands.js";
import { type Step, answersAsTheEngine, asks } from "./differential.js";

const config: fc.Arbitrary<Configs["ephemeral"]> = fc.record({
  maxEntries: fc.constantFrom(2, 100),
  maxPayloadBytes: fc.constant(100),
  eventRetentionMs: fc.constantFrom(10_500, 1_000_000_500),
  eventMaxLen: fc.constantFrom(3, 1000),
});

const key = fc.constantFrom("a", "a/b", "ab", "é", "z");
const ttlMs = fc.constantFrom(500, 2_500, 40_500);
const prefix = fc.constantFrom("a", "é", "nothing");
const handle = fc.constantFrom("h1", "h2");

function step(): fc.Arbitrary<Step> {
  return fc.oneof(
    {
      weight: 6,
      arbitrary: asks(
        "ephemeral.upsert",
        fc.record(
          { key, value: fc.constantFrom("1", '"é"', "", "false"), bytes: fc.constantFrom(1, 1, 1, 101), ttlMs, handle },
          { requiredKeys: ["key", "value", "bytes", "ttlMs"] },
        ),
      ),
    },
    { weight: 3, arbitrary: asks("ephemeral.touch", fc.record({ key, ttlMs })) },
    {
      weight: 2,
      arbitrary: asks(
        "ephemeral.remove",
        fc.record({ key, reason: fc.constantFrom("gone", 'a "word"', "") }, { requiredKeys: ["key"] }),
      ),
    },
    { weight: 1, arbitrary: asks("ephemeral.get", fc.record({ key })) },
    { weight: 1, arbitrary: asks("ephemeral.unbind", fc.record({ handle })) },
    { weight: 1, arbitrary: asks("ephemeral.snapshot", fc.record({ prefix })) },
    {
      weight: 2,
      arbitrary: asks(
        "ephemeral.read",
        fc.record(
          { after: fc.nat({ max: 12 }), limit: fc.constantFrom(2, 500), prefix },
          { requiredKeys: ["after", "limit"] },
        ),
      ),
    },
    { weight: 4, arbitrary: fc.constantFrom(1000, 3000, 41_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "ephemeral.stats", body: {} },
  { op: "ephemeral.snapshot", body: {} },
  { op: "ephemeral.read", body: { after: 0, limit: 500 } },
] as const;

answersAsTheEngine("an ephemeral store", { kind: "ephemeral", config, step: step(), look });
