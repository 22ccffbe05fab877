import fc from "fast-check";
import type { Configs } from "../../../src/protocol/commands.js";
import { type Step, answersAsTheEngine, asks } from "./differential.js";

const config: fc.Arbitrary<Configs["registry"]> = fc.record({
  maxEntries: fc.constantFrom(2, 100),
  maxPayloadBytes: fc.constant(100),
  eventRetentionMs: fc.constantFrom(10_500, 1_000_000_500),
  eventMaxLen: fc.constantFrom(3, 1000),
  tombstoneRetentionMs: fc.constantFrom(5_500, 1_000_000_500),
  reconcileBatchSize: fc.constantFrom(1, 200),
});

const key = fc.constantFrom("a", "a/b", "a/b/c", "ab", "é/ü", "z");
const ttlMs = fc.constantFrom(500, 2_500, 40_500);
const prefix = fc.constantFrom("a/", "a/b/", "é/", "nothing/");
const version = fc.constantFrom("1", "2", "3", "4", "5");
const write = fc.record(
  {
    key,
    value: fc.constantFrom("1", '"é\\n"', "", "false", "[]"),
    bytes: fc.constantFrom(1, 1, 1, 1, 101),
    ttlMs,
    meta: fc.constantFrom('{"by":"x"}', ""),
  },
  { requiredKeys: ["key", "value", "bytes"] },
);
const cas = fc
  .tuple(write, version)
  .map(([{ key: named, value, bytes }, expected]) => ({ key: named, value, bytes, version: expected }));
const removal = fc.record({ key, reason: fc.constantFrom("gone", 'a "word"', "") }, { requiredKeys: ["key"] });
const operation = fc.oneof(
  fc.tuple(fc.constantFrom("upsert", "create"), write).map(([op, body]) => ({ op, ...body })),
  cas.map((body) => ({ op: "cas", ...body })),
  removal.map((body) => ({ op: "remove", ...body })),
);

function step(): fc.Arbitrary<Step> {
  return fc.oneof(
    { weight: 6, arbitrary: asks("registry.upsert", write) },
    { weight: 2, arbitrary: asks("registry.create", write) },
    { weight: 2, arbitrary: asks("registry.cas", cas) },
    { weight: 2, arbitrary: asks("registry.touch", fc.record({ key })) },
    { weight: 2, arbitrary: asks("registry.remove", removal) },
    { weight: 2, arbitrary: asks("registry.transact", fc.record({ ops: fc.array(operation, { maxLength: 5 }) })) },
    {
      weight: 2,
      arbitrary: asks("registry.get", fc.record({ key, includeExpired: fc.boolean() }, { requiredKeys: ["key"] })),
    },
    {
      weight: 3,
      arbitrary: asks(
        "registry.list",
        fc
          .record(
            { status: fc.constantFrom("active", "expired"), limit: fc.constantFrom(1, 2, 1000), prefix, afterKey: key },
            { requiredKeys: ["status", "limit"] },
          )
          // Others are refused before they are sent.
          .filter(({ prefix: under, afterKey }) => !under || !afterKey || afterKey.startsWith(under)),
      ),
    },
    {
      weight: 2,
      arbitrary: asks(
        "registry.read",
        fc.record(
          { after: fc.nat({ max: 12 }), limit: fc.constantFrom(2, 500), key, prefix },
          { requiredKeys: ["after", "limit"] },
        ),
      ),
    },
    { weight: 1, arbitrary: asks("registry.anchor", fc.record({ after: fc.constantFrom("0", "$", "0-0") })) },
    { weight: 4, arbitrary: fc.constantFrom(1000, 3000, 41_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "registry.stats", body: {} },
  { op: "registry.list", body: { status: "active", limit: 1000 } },
  { op: "registry.list", body: { status: "expired", limit: 1000 } },
  { op: "registry.read", body: { after: 0, limit: 500 } },
] as const;

answersAsTheEngine("a registry", { kind: "registry", config, step: step(), look });
