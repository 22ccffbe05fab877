// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every commit
/**
 * What survives: a state equals what its committed rows restore, after any mixture of commits, undone turns and deaths. Time
 * moves in whole seconds, so that many things are due at once: their order must survive, too.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Call } from "../../src/engine/call.js";
import type { Reply } from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { EngineDriver, queueNamed, topicNamed } from "./engine-driver.js";
import { expectEqualStates, restored } from "./restored.js";

const QUEUES = ["plain", "keyed"];
const TOPIC = "events";
const GROUPS = ["g", "1/h"];
const TABS = ["tab a", "tab b"];
const SECOND = 1000;

type Step =
  | { do: "send"; queue: number; delay: number; key: number; priority: number; idem: number }
  | {
      do: "claim" | "ack" | "release" | "touch" | "dead" | "redrive" | "removeDead" | "purge" | "pause" | "resume";
      queue: number;
      which: number;
    }
  | { do: "nack"; queue: number; which: number; delay: number }
  | { do: "publish"; count: number; idem: number }
  | { do: "take" | "commit" | "touchEvent" | "hand back" | "reclaim"; group: number; which: number }
  | { do: "gone"; tab: number; died: boolean }
  | { do: "reconfigure"; queue: number; maxDeliveries: number }
  | { do: "advance"; seconds: number }
  | { do: "journal"; outcome: "committed" | "undone" | "hub died" };

const queueIndex = fc.nat(1);
const which = fc.nat(9);
const delay = fc.constantFrom(0, 0, 2, 7);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("send" as const),
      queue: queueIndex,
      delay,
      key: fc.nat(2),
      priority: fc.constantFrom(5, 5, 0, 9),
      idem: fc.nat(5),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("claim" as const), queue: queueIndex, which }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "ack" as const,
        "ack" as const,
        "release" as const,
        "release" as const,
        "touch" as const,
        "dead" as const,
        "redrive" as const,
        "removeDead" as const,
        "purge" as const,
        "pause" as const,
        "resume" as const,
        "resume" as const,
      ),
      queue: queueIndex,
      which,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("nack" as const), queue: queueIndex, which, delay }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      count: fc.integer({ min: 1, max: 4 }),
      idem: fc.nat(5),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "take" as const,
        "take" as const,
        "commit" as const,
        "touchEvent" as const,
        "hand back" as const,
        "reclaim" as const,
      ),
      group: fc.nat(1),
      which,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("gone" as const), tab: fc.nat(1), died: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("reconfigure" as const),
      queue: queueIndex,
      maxDeliveries: fc.constantFrom(1, 2, 4),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("advance" as const), seconds: fc.constantFrom(1, 3, 11) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("journal" as const),
      outcome: fc.constantFrom("committed" as const, "committed" as const, "undone" as const, "hub died" as const),
    }),
  },
);

/** A hub in short: a space, the rows that are on disk, and nothing else. */
class Hub {
  driver = new EngineDriver();
  readonly rows = new Map<string, Json>();
  #deliveries: { queue: string; id: string }[] = [];
  #taken: { group: string; id: string }[] = [];
  #ids = 0;
  readonly #budgetBytes: number;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
    this.driver.space.payloads.budgetBytes = budgetBytes;
    this.#open(3);
  }

  perform(given: Step): void {
    const { driver } = this;
    switch (given.do) {
      case "send": {
        const { delay: seconds, key, priority, idem } = given;
        const messageId = this.#id("m");
        driver.run(QUEUES[given.queue]!, "queue.send", {
          messageId,
          data: messageId,
          bytes: 1,
          priority,
          ...(seconds ? { delayMs: seconds * SECOND } : {}),
          ...(key ? { orderingKey: `key ${key}`, meta: "{}" } : {}),
          ...(idem < 2 ? { idempotencyKey: `${idem}/k`, idempotencyTtlMs: 8 * SECOND } : {}),
        });
        return;
      }
      case "claim": {
        const queue = QUEUES[given.queue]!;
        const id = this.#id("d");
        this.#deliveries.push({ queue, id });
        // Some wait: what is served later belongs to the turn that served it.
        driver.run(
          queue,
          "queue.claim",
          { deliveryId: id, max: 1, waitMs: 5 * SECOND },
          {
            owner: TABS[given.which % 2]!,
            waitMs: given.which < 3 ? 5 * SECOND : 0,
          },
        );
        return;
      }
      case "ack":
      case "release":
      case "touch":
      case "nack":
      case "dead":
        return this.#settle(given);
      case "redrive":
        driver.run(QUEUES[given.queue]!, "queue.redriveDead", given.which % 2 ? {} : { delayMs: 3 * SECOND });
        return;
      case "removeDead": {
        const { entries } = this.reply(QUEUES[given.queue]!, "queue.listDead", {
          limit: 100,
        }) as Reply<"queue.listDead">;
        driver.run(QUEUES[given.queue]!, "queue.removeDead", { messageId: entries[given.which]?.messageId ?? "none" });
        return;
      }
      case "purge":
      case "pause":
      case "resume":
        driver.run(QUEUES[given.queue]!, `queue.${given.do}`, {});
        return;
      case "publish": {
        const items = Array.from({ length: given.count }, (_, i) => ({
          eventId: this.#id("e"),
          data: "1",
          bytes: 1,
          ...(given.idem < 2 && i === 0 ? { idempotencyKey: `${given.idem}`, idempotencyTtlMs: 8 * SECOND } : {}),
        }));
        driver.run(TOPIC, "topic.publishMany", { items });
        return;
      }
      case "take": {
        const group = GROUPS[given.group]!;
        const id = this.#id("t");
        this.#taken.push({ group, id });
        driver.run(
          TOPIC,
          "topic.claim",
          { group, deliveryId: id, max: 1, waitMs: 0 },
          { owner: TABS[given.which % 2]! },
        );
        return;
      }
      case "reclaim": {
        const deliveryId = this.#id("t");
        driver.run(TOPIC, "topic.reclaim", {
          group: GROUPS[given.group]!,
          deliveryId,
          minIdleMs: 2 * SECOND,
          count: 2,
        });
        return;
      }
      case "commit":
      case "touchEvent":
      case "hand back": {
        const { group, id: deliveryId } = this.#taken.at(-1 - given.which) ?? { group: "g", id: "none" };
        if (given.do === "commit") driver.run(TOPIC, "topic.commit", { group, deliveryId });
        else if (given.do === "touchEvent") driver.run(TOPIC, "topic.touch", { group, deliveryId });
        else driver.run(TOPIC, "topic.release", { group, deliveryIds: [deliveryId] });
        return;
      }
      case "gone":
        driver.space.release({ owner: TABS[given.tab]!, died: given.died }, driver.now);
        return;
      case "reconfigure":
        this.#open(given.maxDeliveries);
        return;
      case "advance":
        driver.advance(given.seconds * SECOND);
        return;
      case "journal":
        return this.#journal(given.outcome);
    }
  }

  /** A read, outside of what the history is about. */
  reply(id: string, op: "queue.listDead", body: { limit: number }): unknown {
    return (this.driver.ask(id, op, body) as { value: unknown }).value;
  }

  #settle(given: Extract<Step, { which: number; queue: number }>): void {
    const { driver } = this;
    const { queue, id: deliveryId } = this.#deliveries.at(-1 - given.which) ?? { queue: QUEUES[0]!, id: "none" };
    if (given.do === "ack") driver.run(queue, "queue.ack", { deliveryId });
    else if (given.do === "touch") driver.run(queue, "queue.touch", { deliveryId });
    else if (given.do === "release") driver.run(queue, "queue.release", { deliveryIds: [deliveryId] });
    else if (given.do === "dead")
      driver.run(queue, "queue.nack", { deliveryId, deadLetter: true, reason: "poison", error: "boom" });
    else if (given.do === "nack") {
      driver.run(queue, "queue.nack", {
        deliveryId,
        error: "boom",
        ...(given.delay ? { delayMs: given.delay * SECOND } : {}),
      });
    }
  }

  #open(maxDeliveries: number): void {
    const settings = { maxDeliveries, maxDead: 3, dlqRetentionMs: 30 * SECOND, maxMessageAgeMs: 25 * SECOND };
    this.driver.open(queueNamed("plain", settings));
    this.driver.open(queueNamed("keyed", { ...settings, ordering: "ordering_key_partitioned" }));
    this.driver.open(topicNamed(TOPIC, { maxLen: 6, retentionMs: 20 * SECOND, reclaimAfterMs: 5 * SECOND }));
  }

  #journal(outcome: "committed" | "undone" | "hub died"): void {
    const { driver, rows } = this;
    const { space } = driver;
    if (outcome === "hub died") {
      driver.space = restored(rows, this.#budgetBytes);
      return;
    }
    if (outcome === "committed") {
      const turn = driver.commit();
      for (const { key, value, fresh } of turn.writes().values()) {
        expect(fresh, `${key} is fresh exactly when it is not on disk`).toBe(!rows.has(key));
        if (value === undefined) rows.delete(key);
        else rows.set(key, JSON.parse(JSON.stringify(value)) as Json);
      }
      const parked = unpark(driver);
      expectEqualStates(driver, rows);
      for (const call of parked) {
        space.run(call, driver.now);
        expect(call.parkedIn, "nothing was ready for a call that waited").toBeDefined();
      }
      return;
    }
    const turn = space.take();
    space.undo([turn, space.take()]);
    const parked = unpark(driver);
    expectEqualStates(driver, rows);
    // As a host does: what was undone runs again.
    for (const released of turn.released) space.release(released, driver.now);
    for (const { call } of turn.ran) this.#again(call);
    for (const call of parked) this.#again(call);
  }

  #again(call: Call): void {
    const { space, now } = this.driver;
    if (!call.instance.gone) space.run(call, now);
    else space.run({ ...call, instance: this.driver.run(call.instance.name.id, readOf(call), {}).instance }, now);
  }

  #id(what: string): string {
    return `${what}${++this.#ids}`;
  }
}

const readOf = (call: Call) =>
  call.instance.name.kind === "queue" ? ("queue.stats" as const) : ("topic.stats" as const);

/** Takes the waiting calls out: a probe shows them what they would be given. */
function unpark({ space, now }: EngineDriver): Call[] {
  const parked = [...space.instances()].flatMap(({ lanes }) => [...lanes.values()].flatMap((lane) => [...lane]));
  for (const call of parked) space.cancel(call, now, false);
  return parked;
}

function holds(steps: readonly Step[], budgetBytes = Infinity): void {
  const hub = new Hub(budgetBytes);
  for (const each of steps) hub.perform(each);
  hub.perform({ do: "journal", outcome: "committed" });
  hub.perform({ do: "journal", outcome: "hub died" });
  expectEqualStates(hub.driver, hub.rows);
}

describe("commits", () => {
  test("a state is what its committed rows restore", () => {
    // In bytes; each message has one.
    const budget = fc.constantFrom(Infinity, 0, 2);
    fc.assert(fc.property(fc.array(step, { maxLength: 80, size: "max" }), budget, holds), { numRuns: 500, seed: 3 });
  }, 60_000);

  const committed: Step = { do: "journal", outcome: "committed" };
  const send: Step = { do: "send", queue: 0, delay: 0, key: 0, priority: 5, idem: 5 };

  test("found: a message handed back and then removed left the row of its place behind", () => {
    holds([
      send,
      committed,
      { do: "claim", queue: 0, which: 8 },
      committed,
      { do: "release", queue: 0, which: 0 },
      committed,
      { do: "purge", queue: 0, which: 0 },
      committed,
    ]);
  });
});
