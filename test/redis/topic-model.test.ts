// oxlint-disable vitest/no-conditional-expect -- what is expected depends on the history
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { InstanceSpec, Port } from "../../src/client/backend.js";
import type { Body, CommandName, TopicConfig, TopicDelivery } from "../../src/protocol/commands.js";
import { createRedisBackend } from "../../src/redis/backend.js";
import { instanceRoot, redisNames } from "../../src/redis/keys.js";
import { TopicModel } from "../model/topic-model.js";
import { type Server, startServer } from "./server.js";

const STEP = 10_000;
const GROUPS = ["g", "h"];
const OWNERS = [0, 1] as const;
/** Real time passes, too: bounds lie so far from what the histories move; slower ones say nothing. */
const MARGIN = 5000;
const RUNS = Number(process.env["TOPIC_RUNS"] ?? 60);

let server: Server;
let runs = 0;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

type Owner = (typeof OWNERS)[number];
type Command =
  | { do: "publish"; idem: number[] }
  | { do: "claim"; group: number; owner: Owner; again: boolean }
  | { do: "commit" | "touch" | "release"; which: number }
  | { do: "reclaim"; group: number; minIdleMs: number; count: number; owner: Owner }
  | { do: "read"; after: number; limit: number }
  | { do: "gone"; owner: Owner; died: boolean }
  | { do: "advance"; ms: number };

const owner = fc.constantFrom(...OWNERS);
const group = fc.nat(GROUPS.length - 1);
const of = <T extends Command["do"]>(...names: [T, ...T[]]) => fc.constantFrom<T>(...names);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: of("publish"), idem: fc.array(fc.nat(6), { minLength: 1, maxLength: 4 }) }),
  },
  { weight: 8, arbitrary: fc.record({ do: of("claim"), group, owner, again: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ do: of("commit", "touch", "release"), which: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: of("reclaim"),
      group,
      owner,
      minIdleMs: fc.constantFrom(0, 2 * STEP + MARGIN),
      count: fc.constantFrom(1, 3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: of("read"), after: fc.nat(20), limit: fc.constantFrom(1, 100) }) },
  { weight: 1, arbitrary: fc.record({ do: of("gone"), owner, died: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ do: of("advance"), ms: fc.constantFrom(STEP, 6 * STEP, 15 * STEP) }) },
);

/** A topic on the server, as two processes use it. */
class Topic {
  readonly #prefix = `m${++runs}`;
  readonly #spec: InstanceSpec<"topic">;
  readonly #backends;
  readonly #ports: Port[];

  constructor(config: TopicConfig) {
    this.#spec = {
      name: { prefix: "", kind: "topic", tenantId: "default", id: "t" },
      config,
      durability: "relaxed",
    };
    this.#backends = OWNERS.map(() => this.#connect());
    this.#ports = this.#backends.map((backend) => backend.port(this.#spec));
  }

  #connect() {
    return createRedisBackend({ redis: server.url, prefix: this.#prefix, testClock: true });
  }

  async ask<Op extends CommandName & `topic.${string}`>(op: Op, body: Body<Op>, by: Owner = 0): Promise<unknown> {
    return withoutTimes(await this.#ports[by]!.call(op, body));
  }

  advance(ms: number): Promise<void> {
    return this.#backends[0]!.advanceClock(ms);
  }

  async gone(by: Owner, died: boolean): Promise<void> {
    if (died) {
      // As if it had not said for ten seconds that it lives.
      const root = instanceRoot(this.#prefix, this.#spec.name);
      await server.ask("ZADD", redisNames.key(root, "owners"), "XX", 1, this.#backends[by]!.status.tabId);
      await server.ask("HSET", redisNames.key(root, "meta"), "dueAt", 1);
    } else {
      await this.#backends[by]!.close();
      this.#backends[by] = this.#connect();
      this.#ports[by] = this.#backends[by].port(this.#spec);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.close()));
  }
}

/** Without what only the server knows, the generation of the log included. */
function withoutTimes(reply: unknown): unknown {
  const text = JSON.stringify(reply, (key, value: unknown) => {
    if (key === "publishedAt") return undefined;
    return typeof value === "string" ? value.replace(/^[0-9A-Za-z]+\.(?=\d+$)/, "GEN.") : value;
  });
  return JSON.parse(text);
}

/** Runs a history on both; throws where they differ. */
async function compare(settings: Partial<TopicConfig>, commands: readonly Command[]): Promise<void> {
  const config: TopicConfig = { payloadBytes: 1000, retentionMs: 1e9, maxLen: 1000, reclaimAfterMs: 1e9, ...settings };
  const topic = new Topic(config);
  const model = new TopicModel(config, "GEN", 1_700_000_000_000);
  const taken: { group: string; deliveryId: string }[] = [];
  let ids = 0;

  const note = (name: string, reply: unknown): void => {
    for (const { deliveryId } of (reply as { deliveries: TopicDelivery[] }).deliveries) {
      taken.push({ group: name, deliveryId });
    }
  };
  const pair = async (given: Command): Promise<[unknown, unknown]> => {
    switch (given.do) {
      case "publish": {
        const items = given.idem.map((idem) => ({
          eventId: `e${++ids}`,
          data: String(ids),
          bytes: 1,
          ...(idem < 2 ? { idempotencyKey: `k${idem}`, idempotencyTtlMs: 8 * STEP + MARGIN } : {}),
        }));
        return [await topic.ask("topic.publishMany", { items }), model.publish(items)];
      }
      case "claim": {
        const name = GROUPS[given.group]!;
        const body = { group: name, deliveryId: `d${++ids}`, max: 1, waitMs: 0 };
        const reply = await topic.ask("topic.claim", body, given.owner);
        // Its reply was lost: sent again, it finds what it took.
        if (given.again) expect(await topic.ask("topic.claim", body, given.owner)).toEqual(reply);
        note(name, reply);
        return [reply, model.claim(name, body.deliveryId, `owner ${given.owner}`)];
      }
      case "reclaim": {
        const name = GROUPS[given.group]!;
        const { minIdleMs, count } = given;
        const deliveryId = `d${++ids}`;
        const reply = await topic.ask("topic.reclaim", { group: name, deliveryId, minIdleMs, count }, given.owner);
        note(name, reply);
        return [reply, model.reclaim(name, deliveryId, minIdleMs, count, `owner ${given.owner}`)];
      }
      case "commit":
      case "touch":
      case "release": {
        const { group: name, deliveryId } = taken.at(-1 - given.which) ?? { group: "g", deliveryId: "none" };
        if (given.do === "release") {
          const reply = await topic.ask("topic.release", { group: name, deliveryIds: [deliveryId] });
          return [reply, model.release(name, deliveryId)];
        }
        return [await topic.ask(`topic.${given.do}`, { group: name, deliveryId }), model[given.do](name, deliveryId)];
      }
      case "read": {
        const { after, limit } = given;
        return [await topic.ask("topic.read", { after, limit }), model.read(after, limit)];
      }
      case "gone":
        await topic.gone(given.owner, given.died);
        return [undefined, model.ownerGone(`owner ${given.owner}`, given.died)];
      case "advance":
        await topic.advance(given.ms);
        return [undefined, model.advance(given.ms)];
    }
  };

  try {
    await topic.ask("topic.stats", {});
    const began = performance.now();
    for (const given of commands) {
      const [reply, expected] = await pair(given);
      const stats = await topic.ask("topic.stats", {});
      if (performance.now() - began > MARGIN - 500) return;
      if (reply !== undefined) expect(reply).toEqual(withoutTimes(expected));
      expect(stats).toEqual(model.stats());
    }
    finished++;
  } finally {
    await topic.close();
  }
}

let finished = 0;

const config: fc.Arbitrary<Partial<TopicConfig>> = fc.record({
  maxLen: fc.constantFrom(1, 3, 1000),
  retentionMs: fc.constantFrom(10 * STEP + MARGIN, 1e9),
  reclaimAfterMs: fc.constantFrom(5 * STEP + MARGIN, 20 * STEP + MARGIN),
});

test("a topic on Redis does what the model does", async () => {
  await fc.assert(fc.asyncProperty(config, fc.array(command, { maxLength: 60, size: "max" }), compare), {
    numRuns: RUNS,
    seed: 5,
  });
  expect(finished).toBeGreaterThan(0);
}, 120_000);
