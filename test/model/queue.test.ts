// oxlint-disable vitest/no-conditional-expect -- what is expected depends on the history
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { QueueConfig, QueueDelivery, QueueItem, QueuePeek } from "../../src/protocol/commands.js";
import { EngineDriver, START, type Seen, queueConfig, queueNamed } from "./engine-driver.js";
import { QueueModel } from "./queue-model.js";

const SECOND = 1000;

type Command =
  | { do: "send"; items: { delay: number; key: number; priority: number; idem: number }[] }
  | { do: "claim"; max: number; waitMs: number; owner: string }
  | { do: "ack" | "release"; which: number }
  | { do: "nack"; which: number; delay: number; error: boolean; deadLetter: boolean }
  | { do: "touch"; which: number; leaseMs: number | undefined }
  | { do: "pause" | "resume" | "purge" | "purgeDead" }
  | { do: "removeDead"; which: number }
  | { do: "redrive"; which: number[] | undefined; delay: number }
  | { do: "advance"; ms: number }
  | { do: "gone"; owner: string; died: boolean };

const delay = fc.constantFrom(0, 0, 0, 1, 5 * SECOND, 15 * SECOND);
const owner = fc.constantFrom("tab a", "tab b");
const which = fc.nat(30);
const item = fc.record({ delay, key: fc.nat(3), priority: fc.constantFrom(5, 5, 5, 0, 6, 9), idem: fc.nat(6) });

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("send" as const), items: fc.array(item, { minLength: 1, maxLength: 3 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("claim" as const),
      max: fc.constantFrom(1, 1, 3),
      waitMs: fc.constantFrom(0, 0, 20 * SECOND),
      owner,
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("ack" as const, "release" as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("nack" as const),
      which,
      delay,
      error: fc.boolean(),
      deadLetter: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("touch" as const),
      which,
      leaseMs: fc.constantFrom(undefined, 1, 30 * SECOND),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "pause" as const,
        "resume" as const,
        "resume" as const,
        "purge" as const,
        "purgeDead" as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("removeDead" as const), which }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("redrive" as const),
      which: fc.option(fc.array(which, { maxLength: 3 }), { nil: undefined }),
      delay,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      ms: fc.constantFrom(0, 1, 3 * SECOND, 10 * SECOND, 40 * SECOND),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("gone" as const), owner, died: fc.boolean() }) },
);

const KEYS = [undefined, "x", "y", "z"];

/** A history under way on the engine, and what came of every message. */
class History {
  readonly driver = new EngineDriver();
  /** Every delivery that was handed out, for commands that name one. */
  readonly deliveries: QueueDelivery[] = [];
  /** Ids that were ever accepted, and those that left by an explicit command. */
  readonly sent = new Set<string>();
  readonly gone = new Set<string>();
  #ids = 0;

  constructor(
    config: Partial<QueueConfig>,
    readonly budgetBytes = Infinity,
  ) {
    this.driver.open(queueNamed("q", config));
    this.driver.space.payloads.budgetBytes = budgetBytes;
  }

  id(what: string): string {
    return `${what}${String(++this.#ids).padStart(4, "0")}`;
  }

  items(specs: { delay: number; key: number; priority: number; idem: number }[]): QueueItem[] {
    return specs.map(({ delay: delayMs, key, priority, idem }) => {
      const messageId = this.id("m");
      const orderingKey = KEYS[key];
      return {
        messageId,
        data: `"${messageId}"`,
        bytes: 1,
        priority,
        ...(delayMs > 0 ? { delayMs } : {}),
        ...(orderingKey === undefined ? {} : { orderingKey }),
        ...(idem < 3 ? { idempotencyKey: `k${idem}`, idempotencyTtlMs: (idem + 1) * 10 * SECOND } : {}),
      };
    });
  }

  pick(index: number): QueueDelivery | undefined {
    return this.deliveries.length === 0 ? undefined : this.deliveries[index % this.deliveries.length];
  }

  deadIds(): string[] {
    const { value } = this.driver.ask("q", "queue.listDead", { limit: 1000 }) as {
      value: { entries: { messageId: string }[] };
    };
    return value.entries.map(({ messageId }) => messageId);
  }

  peek(): QueuePeek[] {
    return (this.driver.ask("q", "queue.peek", { limit: 10_000 }) as { value: QueuePeek[] }).value;
  }

  /** Outcomes of the calls that settled, by what names them in a claim. */
  settled(): { deliveryId: string; seen: Seen }[] {
    const claims = this.driver.takeSettled().filter(({ call }) => call.op === "queue.claim");
    for (const { seen } of claims)
      if (typeof seen === "object" && "value" in seen) this.deliveries.push(...(seen.value as QueueDelivery[]));
    return claims.map(({ call, seen }) => ({ deliveryId: (call.body as { deliveryId: string }).deliveryId, seen }));
  }

  /** Does the command on the engine; the reply when there is one. */
  perform(command: Command): Seen | undefined {
    const reply = this.#perform(command);
    this.#commit();
    return reply;
  }

  /** What is on disk can be read from there on. */
  #commit(): void {
    if (this.budgetBytes < Infinity) this.driver.commit();
  }

  #perform(command: Command): Seen | undefined {
    const { driver } = this;
    switch (command.do) {
      case "send": {
        const items = this.items(command.items);
        const reply = driver.ask("q", "queue.sendMany", { items });
        if (typeof reply === "object" && "value" in reply) {
          const earlier = reply.value as (string | null)[] | null;
          items.forEach(({ messageId }, i) => (earlier?.[i] ?? null) === null && this.sent.add(messageId));
        }
        return reply;
      }
      case "claim": {
        const body = { deliveryId: this.id("d"), max: command.max, waitMs: command.waitMs };
        driver.run("q", "queue.claim", body, { owner: command.owner, waitMs: command.waitMs });
        return undefined;
      }
      case "ack": {
        const delivery = this.pick(command.which);
        if (!delivery) return undefined;
        const reply = driver.ask("q", "queue.ack", { deliveryId: delivery.deliveryId });
        if (typeof reply === "object" && "value" in reply && reply.value === true) this.gone.add(delivery.messageId);
        return reply;
      }
      case "release":
        return driver.ask("q", "queue.release", {
          deliveryIds: [command.which, command.which + 1].map((i) => this.pick(i)?.deliveryId ?? "none"),
        });
      case "nack": {
        const body = nackBody(command);
        return driver.ask("q", "queue.nack", { deliveryId: this.pick(command.which)?.deliveryId ?? "none", ...body });
      }
      case "touch": {
        const leaseMs = command.leaseMs === undefined ? {} : { leaseMs: command.leaseMs };
        return driver.ask("q", "queue.touch", {
          deliveryId: this.pick(command.which)?.deliveryId ?? "none",
          ...leaseMs,
        });
      }
      case "pause":
        return driver.ask("q", "queue.pause", {});
      case "resume":
        return driver.ask("q", "queue.resume", {});
      case "purge":
        for (const { messageId, at } of this.peek()) if (at !== "leased") this.gone.add(messageId);
        return driver.ask("q", "queue.purge", {});
      case "purgeDead":
        for (const messageId of this.deadIds()) this.gone.add(messageId);
        return driver.ask("q", "queue.purgeDead", {});
      case "removeDead": {
        const messageId = this.deadIds()[command.which] ?? "none";
        this.gone.add(messageId);
        return driver.ask("q", "queue.removeDead", { messageId });
      }
      case "redrive": {
        const messageIds = command.which?.map((i) => this.deadIds()[i] ?? "none");
        const delayMs = command.delay > 0 ? { delayMs: command.delay } : {};
        return driver.ask("q", "queue.redriveDead", { ...(messageIds ? { messageIds } : {}), ...delayMs });
      }
      case "advance":
        driver.advance(command.ms, () => this.#commit());
        return undefined;
      case "gone":
        driver.space.release({ owner: command.owner, died: command.died }, driver.now);
        return undefined;
    }
  }
}

function nackBody({ delay: delayMs, error, deadLetter }: Extract<Command, { do: "nack" }>) {
  return {
    ...(delayMs > 0 ? { delayMs } : {}),
    ...(error ? { error: "boom" } : {}),
    ...(deadLetter ? { deadLetter } : {}),
  };
}

/** The same command on the model, which must come to the same. */
function onModel(
  model: QueueModel,
  history: History,
  command: Command,
  before: { deadIds: string[]; ids: QueueItem[] | undefined; claimId: string },
): unknown {
  const deliveryOf = (index: number): string => history.pick(index)?.deliveryId ?? "none";
  switch (command.do) {
    case "send": {
      const replies = model.send(before.ids!);
      if (!Array.isArray(replies)) return { error: replies };
      return { value: replies.every((reply) => reply === null) ? null : replies };
    }
    case "claim": {
      const got = model.claim(before.claimId, command.max, command.owner, command.waitMs);
      if (got !== "parked") model.served.push({ deliveryId: before.claimId, seen: { value: got } });
      return undefined;
    }
    case "ack":
      return history.pick(command.which) ? { value: model.ack(deliveryOf(command.which)) } : undefined;
    case "release":
      return { value: model.release([deliveryOf(command.which), deliveryOf(command.which + 1)]) };
    case "nack": {
      const reply = model.nack(deliveryOf(command.which), nackBody(command));
      return typeof reply === "boolean" ? { value: reply } : { error: reply };
    }
    case "touch":
      return { value: model.touch(deliveryOf(command.which), command.leaseMs) };
    case "pause":
    case "resume":
      model.pause(command.do === "pause");
      return { value: null };
    case "purge":
      return { value: model.purge() };
    case "purgeDead":
      return { value: model.purgeDead() };
    case "removeDead":
      return { value: model.removeDead(before.deadIds[command.which] ?? "none") };
    case "redrive":
      return {
        value: model.redrive(
          command.which?.map((i) => before.deadIds[i] ?? "none"),
          command.delay,
        ),
      };
    case "advance":
      model.advance(command.ms);
      return undefined;
    case "gone":
      model.ownerGone(command.owner, command.died);
      return undefined;
  }
}

/** A history on both; throws where they differ. */
function compare(config: Partial<QueueConfig>, commands: readonly Command[], budgetBytes = Infinity): void {
  const history = new History(config, budgetBytes);
  const twin = new History(config);
  const model = new QueueModel({ ...queueConfig, ...config }, START);
  for (const command of commands) {
    // The twin makes the same ids, for the model.
    const ids = command.do === "send" ? twin.items(command.items) : undefined;
    const claimId = command.do === "claim" ? twin.id("d") : "";
    const expected = onModel(model, history, command, { deadIds: history.deadIds(), ids, claimId });
    const reply = history.perform(command);
    expect(reply).toEqual(expected);
    expect(history.settled()).toEqual(model.served.splice(0));
    expect(history.driver.ask("q", "queue.stats", {})).toEqual({ value: model.stats() });
  }
  const place = ({ messageId, at, attempt }: { messageId: string; at: string; attempt: number }) =>
    `${messageId} ${at} ${attempt}`;
  expect(history.peek().map(place).sort()).toEqual(
    model.entries.map(({ item, at, attempts }) => place({ messageId: item.messageId, at, attempt: attempts })).sort(),
  );
  expect(history.driver.ask("q", "queue.listDead", { limit: 1000 })).toMatchObject({
    value: {
      entries: model.dead.map(({ entry, reason, movedAt, lastError }) => ({
        messageId: entry.item.messageId,
        data: entry.item.data,
        attempts: entry.attempts,
        movedAt,
        reason,
        ...(lastError === undefined ? {} : { lastError }),
      })),
    },
  });
}

/** What holds in any history, also where messages grow old. */
function holds(config: Partial<QueueConfig>, commands: readonly Command[]): void {
  const history = new History(config);
  const { maxMessageAgeMs } = { ...queueConfig, ...config };
  const firstReady = new Map<string, number>();
  for (const command of commands) {
    history.perform(command);
    const claimedAt = history.driver.now;
    const before = history.deliveries.length;
    history.settled();
    const peeked = history.peek();
    for (const { messageId, at, untilAt } of peeked) {
      if (!firstReady.has(messageId) || command.do === "redrive")
        firstReady.set(messageId, at === "delayed" ? untilAt! : claimedAt);
    }
    // No message is held twice, and none is both here and dead.
    const here = peeked.map(({ messageId }) => messageId);
    const dead = history.deadIds();
    expect(new Set([...here, ...dead]).size).toBe(here.length + dead.length);
    // Nothing is lost: what was sent is here, dead, or was taken out.
    for (const id of history.sent) expect(here.includes(id) || dead.includes(id) || history.gone.has(id)).toBe(true);
    // One message of a key is in flight.
    if (config.ordering === "ordering_key_partitioned") {
      const keys = peeked.filter(({ at }) => at === "leased").flatMap(({ orderingKey }) => orderingKey ?? []);
      expect(new Set(keys).size).toBe(keys.length);
    }
    if (command.do === "claim") {
      for (const { messageId } of history.deliveries.slice(before)) {
        expect(claimedAt - (firstReady.get(messageId) ?? claimedAt)).toBeLessThanOrEqual(maxMessageAgeMs);
      }
    }
  }
}

const histories = fc.array(command, { maxLength: 60, size: "max" });
/** In bytes; each message has one. */
const budget = fc.constantFrom(Infinity, 0, 2);
const config: fc.Arbitrary<Partial<QueueConfig>> = fc.record({
  maxDeliveries: fc.constantFrom(1, 2, 5),
  maxMessages: fc.constantFrom(0, 0, 5),
  maxDead: fc.constantFrom(1, 2, 1000),
  maxIdempotencyKeys: fc.constantFrom(2, 1000),
  dlqRetentionMs: fc.constantFrom(20 * SECOND, 1e9),
});

test("found: a message handed back to a queue with full dead letters was buried later with a try too many", () => {
  const send: Command = { do: "send", items: [0, 0].map((key) => ({ delay: 0, key, priority: 5, idem: 5 })) };
  compare({ maxDeliveries: 1, maxDead: 1 }, [
    send,
    { do: "claim", max: 3, waitMs: 0, owner: "tab a" },
    { do: "advance", ms: 10 * SECOND },
    { do: "claim", max: 1, waitMs: 0, owner: "tab a" },
    { do: "purgeDead" },
    { do: "release", which: 2 },
    { do: "claim", max: 1, waitMs: 0, owner: "tab b" },
  ]);
});

describe.each(["best_effort", "ordering_key_partitioned"] as const)("a queue, %s", (ordering) => {
  test("does what the model does", () => {
    fc.assert(
      fc.property(config, histories, budget, (settings, commands, budgetBytes) =>
        compare({ ...settings, ordering }, commands, budgetBytes),
      ),
      { numRuns: 1000, seed: 1 },
    );
  }, 60_000);

  test("loses nothing, holds nothing twice, delivers nothing that is too old", () => {
    fc.assert(
      fc.property(config, histories, (settings, commands) =>
        holds({ ...settings, dlqRetentionMs: 1e9, maxDead: 1000, ordering, maxMessageAgeMs: 25 * SECOND }, commands),
      ),
      { numRuns: 300, seed: 2 },
    );
  }, 60_000);
});
