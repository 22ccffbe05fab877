// oxlint-disable vitest/no-conditional-expect -- what is expected depends on the history
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TopicConfig, TopicDelivery } from "../../src/protocol/commands.js";
import { EngineDriver, START, type Seen, topicConfig, topicNamed } from "./engine-driver.js";
import { TopicModel } from "./topic-model.js";

const SECOND = 1000;
const GROUPS = ["g", "h"];

type Command =
  | { do: "publish"; idem: number[] }
  | { do: "claim"; group: number; owner: string }
  | { do: "commit" | "touch" | "release"; which: number }
  | { do: "reclaim"; group: number; minIdleMs: number; count: number; owner: string }
  | { do: "read"; after: number; limit: number }
  | { do: "gone"; owner: string; died: boolean }
  | { do: "advance"; ms: number };

const owner = fc.constantFrom("tab a", "tab b");
const group = fc.nat(GROUPS.length - 1);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      idem: fc.array(fc.nat(6), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("claim" as const), group, owner }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("commit" as const, "commit" as const, "touch" as const, "release" as const),
      which: fc.nat(20),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("reclaim" as const),
      group,
      owner,
      minIdleMs: fc.constantFrom(0, 2 * SECOND),
      count: fc.constantFrom(1, 3),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("read" as const), after: fc.nat(20), limit: fc.constantFrom(1, 100) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("gone" as const), owner, died: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      ms: fc.constantFrom(1, SECOND, 6 * SECOND, 15 * SECOND),
    }),
  },
);

/** Runs a history on both; throws where they differ. */
function compare(config: Partial<TopicConfig>, commands: readonly Command[]): void {
  const driver = new EngineDriver();
  driver.open(topicNamed("t", config));
  const model = new TopicModel({ ...topicConfig, ...config }, "GEN", START);
  const taken: { group: string; deliveryId: string }[] = [];
  let ids = 0;

  const note = (name: string, reply: Seen): void => {
    const { deliveries } = (reply as { value: { deliveries: TopicDelivery[] } }).value;
    for (const { deliveryId } of deliveries) taken.push({ group: name, deliveryId });
  };
  const pair = (given: Command): [Seen | undefined, unknown] => {
    switch (given.do) {
      case "publish": {
        const items = given.idem.map((idem) => ({
          eventId: `e${++ids}`,
          data: String(ids),
          bytes: 1,
          ...(idem < 2 ? { idempotencyKey: `k${idem}`, idempotencyTtlMs: 8 * SECOND } : {}),
        }));
        return [driver.ask("t", "topic.publishMany", { items }), model.publish(items)];
      }
      case "claim": {
        const name = GROUPS[given.group]!;
        const deliveryId = `d${++ids}`;
        const reply = driver.ask("t", "topic.claim", { group: name, deliveryId, max: 1, waitMs: 0 }, given.owner);
        note(name, reply);
        return [reply, model.claim(name, deliveryId, given.owner)];
      }
      case "reclaim": {
        const name = GROUPS[given.group]!;
        const { minIdleMs, count } = given;
        const deliveryId = `d${++ids}`;
        const reply = driver.ask("t", "topic.reclaim", { group: name, deliveryId, minIdleMs, count }, given.owner);
        note(name, reply);
        return [reply, model.reclaim(name, deliveryId, minIdleMs, count, given.owner)];
      }
      case "commit":
      case "touch":
      case "release": {
        const { group: name, deliveryId } = taken.at(-1 - given.which) ?? { group: "g", deliveryId: "none" };
        if (given.do === "commit")
          return [driver.ask("t", "topic.commit", { group: name, deliveryId }), model.commit(name, deliveryId)];
        if (given.do === "touch")
          return [driver.ask("t", "topic.touch", { group: name, deliveryId }), model.touch(name, deliveryId)];
        return [
          driver.ask("t", "topic.release", { group: name, deliveryIds: [deliveryId] }),
          model.release(name, deliveryId),
        ];
      }
      case "read":
        return [
          driver.ask("t", "topic.read", { after: given.after, limit: given.limit }),
          model.read(given.after, given.limit),
        ];
      case "gone":
        driver.space.release({ owner: given.owner, died: given.died }, driver.now);
        return [undefined, model.ownerGone(given.owner, given.died)];
      case "advance":
        driver.advance(given.ms);
        return [undefined, model.advance(given.ms)];
    }
  };

  for (const given of commands) {
    const [reply, expected] = pair(given);
    if (reply !== undefined) expect(reply).toEqual({ value: expected });
    expect(driver.ask("t", "topic.stats", {})).toEqual({ value: model.stats() });
    driver.takeSettled();
  }
}

const config: fc.Arbitrary<Partial<TopicConfig>> = fc.record({
  maxLen: fc.constantFrom(1, 3, 1000),
  retentionMs: fc.constantFrom(10 * SECOND, 1e9),
  reclaimAfterMs: fc.constantFrom(5 * SECOND, 20 * SECOND),
});

test("a topic does what the model does", () => {
  fc.assert(fc.property(config, fc.array(command, { maxLength: 80, size: "max" }), compare), {
    numRuns: 1000,
    seed: 4,
  });
}, 60_000);
