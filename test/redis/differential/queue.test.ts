import fc from "fast-check";
import type { Configs } from "../../../src/protocol/commands.js";
import { type Step, answersAsTheEngine, waitMs } from "./differential.js";

const config = (ordering: Configs["queue"]["ordering"]): fc.Arbitrary<Configs["queue"]> =>
  fc.record({
    ordering: fc.constant(ordering),
    payloadBytes: fc.constant(100),
    maxMessageAgeMs: fc.constantFrom(20_500, 1_000_000_500),
    maxNackDelayMs: fc.constant(60_500),
    dlqRetentionMs: fc.constantFrom(30_500, 1_000_000_500),
    maxMessages: fc.constantFrom(0, 6),
    maxDead: fc.constantFrom(2, 100),
    maxIdempotencyKeys: fc.constantFrom(3, 100),
    defaultLeaseMs: fc.constant(10_500),
    maxDeliveries: fc.constantFrom(1, 2, 10),
  });

const key = fc.constantFrom("a", "b", "a:b");
const delayMs = fc.constantFrom(500, 3_500, 90_500);

/** Delivery ids are few, so that later steps meet those of earlier ones. */
function step(): fc.Arbitrary<Step> {
  const item = fc
    .record(
      {
        data: fc.constantFrom("1", '"é"', "", "[]"),
        bytes: fc.constantFrom(1, 1, 1, 101),
        meta: fc.constantFrom("{}", ""),
        orderingKey: key,
        delayMs,
        priority: fc.nat({ max: 9 }),
        idempotencyKey: fc.constantFrom("k1", "k2", "k3", "k4"),
        idempotencyTtlMs: fc.constantFrom(2_500, 1_000_500),
      },
      { requiredKeys: ["data", "bytes"] },
    )
    .map((fields) => ({ messageId: "$new", ...fields }));
  const deliveryId = fc.nat({ max: 11 }).map((n) => `d${n}`);
  const deliveryIds = fc.oneof(
    deliveryId,
    fc.constantFrom("$0", "$1", "$2"),
    fc.tuple(deliveryId, fc.nat({ max: 2 })).map(([id, n]) => `${id}.${n}`),
  );
  const ops: [number, fc.Arbitrary<Step>][] = [
    [6, item.map((body) => ({ op: "queue.send" as const, body }))],
    [2, fc.array(item, { maxLength: 4 }).map((items) => ({ op: "queue.sendMany" as const, body: { items } }))],
    [
      6,
      fc
        .record({
          deliveryId,
          max: fc.constantFrom(1, 1, 3),
          leaseMs: fc.option(fc.constantFrom(1_500, 40_500), { nil: undefined }),
        })
        .map((body) => ({ op: "queue.claim" as const, body: { ...body, waitMs: 0 } })),
    ],
    // Of ids that nobody else has: two that wait under one are two on Redis, and one in the engine.
    [2, waitMs.map((ms) => ({ op: "queue.claim" as const, body: { deliveryId: "$new", max: 1, waitMs: ms } }))],
    [3, deliveryIds.map((id) => ({ op: "queue.ack" as const, body: { deliveryId: id } }))],
    [
      3,
      fc
        .record(
          {
            deliveryId: deliveryIds,
            delayMs,
            reason: fc.constantFrom("r", ""),
            error: fc.constantFrom("boom", "x\ny"),
            deadLetter: fc.boolean(),
            elseDelayMs: fc.constant(5_500),
          },
          { requiredKeys: ["deliveryId"] },
        )
        .map((body) => ({ op: "queue.nack" as const, body })),
    ],
    [1, deliveryIds.map((id) => ({ op: "queue.touch" as const, body: { deliveryId: id, leaseMs: 20_500 } }))],
    [
      1,
      fc
        .array(deliveryIds, { maxLength: 3 })
        .map((ids) => ({ op: "queue.release" as const, body: { deliveryIds: ids } })),
    ],
    [1, fc.constantFrom("queue.pause" as const, "queue.resume" as const).map((op) => ({ op, body: {} }))],
    [1, fc.constant({ op: "queue.purge" as const, body: {} })],
    [
      2,
      fc.record({ delayMs, some: fc.boolean() }, { requiredKeys: ["some"] }).map(({ some, ...rest }) => ({
        op: "queue.redriveDead" as const,
        body: { ...rest, ...(some ? { messageIds: ["$1", "$2", "$4"] } : {}) },
      })),
    ],
    [1, fc.constant({ op: "queue.purgeDead" as const, body: {} })],
    [4, fc.constantFrom(1000, 4000, 31_000, 95_000).map((advanceMs) => ({ advanceMs }))],
  ];
  return fc.oneof(...ops.map(([weight, arbitrary]) => ({ weight, arbitrary })));
}

const look = [
  { op: "queue.stats", body: {} },
  { op: "queue.listDead", body: { limit: 100 } },
] as const;

/** From then on a process hears what it waits for. */
const WAIT: Step = { op: "queue.claim", body: { deliveryId: "first", max: 1, waitMs: 1 } };

for (const ordering of ["best_effort", "ordering_key_partitioned"] as const) {
  answersAsTheEngine(`a queue, ${ordering},`, {
    kind: "queue",
    config: config(ordering),
    step: step(),
    look,
    first: () => [WAIT],
  });
}
