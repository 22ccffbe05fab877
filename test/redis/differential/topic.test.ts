import fc from "fast-check";
import type { Configs } from "../../../src/protocol/commands.js";
import { type Step, answersAsTheEngine, asks, waitMs } from "./differential.js";

const config: fc.Arbitrary<Configs["topic"]> = fc.record({
  payloadBytes: fc.constant(100),
  retentionMs: fc.constantFrom(10_500, 1_000_000_500),
  maxLen: fc.constantFrom(3, 1000),
  reclaimAfterMs: fc.constantFrom(2_500, 60_500),
});

const group = fc.constantFrom("default", "g:2");
/** Few, so that later steps meet those of earlier ones; each names one delivery, as ids do. */
const inGroup = <T extends object>(way: string, fields: fc.Arbitrary<T>): fc.Arbitrary<T & { group: string }> =>
  fc
    .tuple(group, fc.nat({ max: 7 }), fields)
    .map(([name, n, rest]) => ({ group: name, deliveryId: `${name}-${way}${n}`, ...rest }));
const settled = fc.constantFrom("claim", "claim", "reclaim").chain((way) => inGroup(way, fc.constant({})));

function step(): fc.Arbitrary<Step> {
  const item = fc
    .record(
      {
        data: fc.constantFrom("1", '"é\\n"', ""),
        bytes: fc.constantFrom(1, 1, 1, 101),
        meta: fc.constantFrom('{"m":1}', ""),
        orderingKey: fc.constantFrom("a", 'b"'),
        idempotencyKey: fc.constantFrom("k1", "k2", "k3"),
        idempotencyTtlMs: fc.constantFrom(2_500, 1_000_500),
      },
      { requiredKeys: ["data", "bytes"] },
    )
    .map((fields) => ({ eventId: "$new", ...fields }));
  return fc.oneof(
    { weight: 6, arbitrary: asks("topic.publish", item) },
    { weight: 2, arbitrary: asks("topic.publishMany", fc.record({ items: fc.array(item, { maxLength: 4 }) })) },
    {
      weight: 6,
      arbitrary: asks(
        "topic.claim",
        inGroup("claim", fc.record({ max: fc.constantFrom(1, 1, 3), waitMs: fc.constant(0) })),
      ),
    },
    {
      weight: 2,
      arbitrary: asks(
        "topic.claim",
        fc.record({ group, deliveryId: fc.constant("$new"), max: fc.constant(1), waitMs }),
      ),
    },
    { weight: 3, arbitrary: asks("topic.commit", settled) },
    { weight: 1, arbitrary: asks("topic.touch", settled) },
    {
      weight: 1,
      arbitrary: asks(
        "topic.release",
        settled.map(({ group: name, ...one }) => ({ group: name, deliveryIds: Object.values(one) })),
      ),
    },
    {
      weight: 2,
      arbitrary: asks(
        "topic.reclaim",
        inGroup("reclaim", fc.record({ minIdleMs: fc.constantFrom(0, 1_500), count: fc.constantFrom(1, 3) })),
      ),
    },
    {
      weight: 2,
      arbitrary: asks("topic.read", fc.record({ after: fc.nat({ max: 12 }), limit: fc.constantFrom(2, 500) })),
    },
    { weight: 1, arbitrary: asks("topic.anchor", fc.record({ after: fc.constantFrom("0", "$", "0-0") })) },
    { weight: 4, arbitrary: fc.constantFrom(1000, 3000, 61_000).map((advanceMs) => ({ advanceMs })) },
  );
}

const look = [
  { op: "topic.stats", body: {} },
  { op: "topic.read", body: { after: 0, limit: 500 } },
] as const;

/** From then on a process hears what it waits for. */
const WAIT: Step = { op: "topic.claim", body: { group: "default", deliveryId: "first", max: 1, waitMs: 1 } };

answersAsTheEngine("a topic", { kind: "topic", config, step: step(), look, first: () => [WAIT] });
