// oxlint-disable vitest/no-conditional-expect -- the history checks itself at every step
/**
 * Rate limits on Redis beside the engine's: the same random checks at the same times must come to the same numbers, to
 * the last bit. The time of a script is known when the server's clock says the same before and after it.
 */
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Body, OpenBody, RatelimitConfig } from "../../src/protocol/commands.js";
import { createRedisBackend } from "../../src/redis/backend.js";
import { ratelimitKind } from "../../src/redis/ratelimit.js";
import { scriptSource } from "../../src/redis/script-source.js";
import type { Script } from "../../src/redis/script.js";
import * as tabloom from "../../src/server.js";
import { EngineDriver } from "../model/engine-driver.js";
import { RatelimitModel } from "../model/ratelimit-model.js";
import { type Server, startServer } from "./server.js";

const WINDOW_MS = 10_000;
const DAY = 24 * 3_600_000;
const IDENTIFIERS = ["ada", "bob", "a:b"];
const ALGORITHMS = ["sliding-window", "token-bucket"] as const;

let server: Server;
let redis: Redis;
beforeAll(async () => {
  server = await startServer();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

type Check = Script<"ratelimit.check">;
type Seen = { value: unknown } | { error: { code: string } };

/** One rate limit in Redis, its scripts run one at a time, each at a known time. */
class Limit {
  readonly #root = `limit:{${randomUUID()}}`;
  #offset = 0;

  key(part: string): string {
    return `${this.#root}:${part}`;
  }

  async open(config: RatelimitConfig): Promise<void> {
    const settings = ratelimitKind.settings(config);
    await redis.hset(this.key("meta"), { seed: "GEN", ...settings });
  }

  async advance(ms: number): Promise<void> {
    this.#offset += ms;
    await redis.hset(this.key("meta"), "clock", this.#offset);
  }

  /** Where the instance's clock stands. */
  async now(): Promise<number> {
    return msOf((await redis.time()) as unknown as string[]) + this.#offset;
  }

  /** undefined: a millisecond ended meanwhile, so that it may have run in either. */
  async check(body: Body<"ratelimit.check">): Promise<{ at: number; seen: Seen } | undefined> {
    const script = ratelimitKind.scripts["ratelimit.check"] as Check;
    const { text, parts } = scriptSource(script.lua);
    const args = script.args(body, { owner: "", callId: "", waitMs: 0 });
    const replies = (await redis
      .multi()
      .time()
      .eval(text, parts.length, ...parts.map((part) => this.key(part)), ...args)
      .time()
      .exec())!.map(([error, reply]) => {
      if (error) throw error;
      return reply;
    });
    const [before, raw, after] = replies as [string[], unknown[], string[]];
    if (msOf(before) !== msOf(after)) return undefined;
    const [reply] = raw;
    const at = msOf(before) + this.#offset;
    if (reply instanceof Error) return { at, seen: { error: { code: /^TL (\w+)/.exec(reply.message)![1]! } } };
    return { at, seen: { value: script.reply(reply as never, body) } };
  }

  /** What is kept of an identifier: numbers, in the order of the engine's rows. */
  async stored(identifier: string): Promise<number[] | undefined> {
    return (await redis.hget(this.key("counters"), identifier))?.split(" ").map(Number);
  }

  async reset(identifier: string): Promise<void> {
    const { text, parts } = scriptSource("ratelimit-reset");
    await redis.eval(text, parts.length, ...parts.map((part) => this.key(part)), identifier);
  }
}

const msOf = ([seconds, micros]: string[]): number => Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);

function engineAt(now: number, config: RatelimitConfig): EngineDriver {
  const driver = new EngineDriver();
  driver.now = now;
  driver.open({
    name: { prefix: "", kind: "ratelimit", tenantId: "default", id: "r" },
    config,
    durability: "relaxed",
    seed: "GEN",
  } satisfies OpenBody);
  return driver;
}

/** The engine's rows, as they come to lie on disk. */
function keep(rows: Map<string, unknown>, driver: EngineDriver): void {
  for (const { key, value } of driver.commit().writes().values()) {
    if (value === undefined) rows.delete(key);
    else rows.set(key, value);
  }
}

const who = fc.nat(IDENTIFIERS.length - 1);
const command = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constant("check" as const), who, cost: fc.constantFrom(0, 1, 1, 1, 2, 3, 7) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reset" as const), who }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      ms: fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.constantFrom(1, 1000, 3333, WINDOW_MS, 3 * WINDOW_MS)),
    }),
  },
);

describe.each(ALGORITHMS)("a rate limit on Redis, %s", (algorithm) => {
  for (const [name, limits, windowMs] of [
    ["whole limits and halves", [1, 2.5, 3, 7, 10, 0.5], WINDOW_MS],
    ["limits that no double has exactly", [3.7, 0.1, 1e6 / 3, 1e15 / 7], 3000],
    ["a window of a year", [3, 10.5], 365 * DAY],
  ] as const) {
    test(`says what the engine says, to the last bit: ${name}`, { timeout: 120_000 }, async () => {
      let compared = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...limits),
          fc.array(command, { maxLength: 60, size: "max" }),
          async (limit, commands) => {
            const config = { limit, windowMs, algorithm };
            const there = new Limit();
            await there.open(config);
            let driver: EngineDriver | undefined;
            const rows = new Map<string, unknown>();
            const model = new RatelimitModel(config);
            for (const given of commands) {
              if (given.do === "advance") await there.advance(Math.ceil((given.ms * windowMs) / WINDOW_MS));
              else if (given.do === "reset") {
                await there.reset(IDENTIFIERS[given.who]!);
                driver?.ask("r", "ratelimit.reset", { identifier: IDENTIFIERS[given.who]! });
                model.reset(IDENTIFIERS[given.who]!);
              } else {
                const body = { identifier: IDENTIFIERS[given.who]!, cost: given.cost };
                const told = await there.check(body);
                // Nobody knows any more what has to come next.
                if (told === undefined) return;
                driver ??= engineAt(told.at, config);
                driver.advance(told.at - driver.now);
                expect(told.seen).toEqual(driver.ask("r", "ratelimit.check", body));
                keep(rows, driver);
                const row = rows.get(`1c${body.identifier}`);
                if (row !== undefined) expect(await there.stored(body.identifier)).toEqual(row);
                // In whole numbers, of which a double holds no more.
                if (Number.isInteger(limit * 2)) {
                  const expected = model.check(body.identifier, body.cost, told.at);
                  expect(told.seen).toEqual(
                    expected === undefined ? { error: { code: "RANGE" } } : { value: expected },
                  );
                }
                compared++;
              }
            }
          },
        ),
        { numRuns: 150, seed: 9 },
      );
      // Few are given up for the millisecond that ended.
      expect(compared).toBeGreaterThan(1000);
    });
  }

  test("says what the engine says when the clock steps back", { timeout: 120_000 }, async () => {
    const steps = fc.array(fc.record({ ms: fc.integer({ min: -5 * WINDOW_MS, max: WINDOW_MS }), checks: fc.nat(4) }), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 3, 10), steps, async (limit, taken) => {
        const config = { limit, windowMs: WINDOW_MS, algorithm };
        const there = new Limit();
        await there.open(config);
        let driver: EngineDriver | undefined;
        for (const { ms, checks } of taken) {
          await there.advance(ms);
          for (let i = 0; i < checks; i++) {
            const told = await there.check({ identifier: "ada", cost: 1 });
            if (told === undefined) return;
            driver ??= engineAt(told.at, config);
            driver.now = told.at;
            expect(told.seen).toEqual(driver.ask("r", "ratelimit.check", { identifier: "ada", cost: 1 }));
          }
        }
      }),
      { numRuns: 200, seed: 10 },
    );
  });

  test.each([
    ["no numbers", "a b c d"],
    ["empty", ""],
    ["no number", "nan nan nan nan"],
    ["negative", "0 -1 0 0"],
    ["too short", "0"],
    ["JSON", "[1,2,3,4]"],
  ])("a stored counter that cannot be read fails closed, and not for ever: %s", async (_, stored) => {
    const there = new Limit();
    await there.open({ limit: 3, windowMs: WINDOW_MS, algorithm });
    await there.check({ identifier: "ada", cost: 1 });
    await redis.hset(there.key("counters"), "ada", stored);
    const ask = async (identifier: string): Promise<unknown> => {
      const { text, parts } = scriptSource("ratelimit-check");
      const [reply] = (await redis.eval(
        text,
        parts.length,
        ...parts.map((part) => there.key(part)),
        identifier,
        1,
      )) as [[number, string, string]];
      return [reply[0], reply[1]];
    };
    expect(await ask("ada")).toEqual([1, "0"]);
    expect(await ask("bob")).toEqual([0, "2"]);
    await there.advance(4 * WINDOW_MS);
    expect(await ask("ada")).toEqual([0, "2"]);
  });

  test("what is over goes with later calls, a few at a time, and all of it with nobody to call", async () => {
    const there = new Limit();
    await there.open({ limit: 3, windowMs: WINDOW_MS, algorithm });
    for (let i = 0; i < 100; i++) await there.check({ identifier: `user ${i}`, cost: 1 });
    expect(await redis.hlen(there.key("counters"))).toBe(100);
    await there.advance(3 * WINDOW_MS);
    for (let calls = 1; calls <= 10; calls++) {
      const before = await redis.hlen(there.key("counters"));
      await there.check({ identifier: "again", cost: 1 });
      const gone = before - (await redis.hlen(there.key("counters")));
      expect(gone).toBeLessThanOrEqual(11);
    }
    expect(await redis.hkeys(there.key("counters"))).toEqual(["again"]);
    expect(await redis.zrange(there.key("ends"), 0, "-1")).toEqual(["again"]);
    // The server itself forgets the rest: both keys, when the last counter is over, with something to spare.
    for (const part of ["counters", "ends"]) {
      const left = await redis.pttl(there.key(part));
      expect(left).toBeGreaterThan(WINDOW_MS);
      expect(left).toBeLessThanOrEqual(2 * WINDOW_MS + 60_000);
    }
  });
});

test("many processes together let as many calls pass as the limit says", async () => {
  const prefix = randomUUID();
  const backends = Array.from({ length: 4 }, () => createRedisBackend({ redis: server.url, prefix }));
  const passed = await Promise.all(
    backends.map(async (backend) => {
      const limit = tabloom.ratelimit({ id: "l", limit: 50, windowSecs: 3600, algorithm: "token-bucket", backend });
      const results = await Promise.all(Array.from({ length: 40 }, () => limit.check("ada")));
      return results.filter(({ limited }) => !limited).length;
    }),
  );
  expect(passed.reduce((sum, count) => sum + count)).toBe(50);
  await Promise.all(backends.map((backend) => backend.close()));
});

test("identifiers that differ in what UTF-8 cannot say are apart, and shown as they are", async () => {
  const backend = createRedisBackend({ redis: server.url, prefix: randomUUID() });
  const limit = tabloom.ratelimit({ id: "l", limit: 1, windowSecs: 3600, backend });
  const identifiers = ["\ud800", "\ud801", "\ufffd", "\0", '\0"\\ud800"', "", "🦊"];
  for (const identifier of identifiers) expect((await limit.check(identifier)).limited).toBe(false);
  expect((await limit.check("\ud800")).limited).toBe(true);
  const peeked = (await tabloom
    .inspect(backend)
    .peek({ prefix: "", kind: "ratelimit", tenantId: "default", id: "l" })) as { identifier: string }[];
  expect(peeked.map(({ identifier }) => identifier).sort()).toEqual([...identifiers].sort());
  expect(peeked[0]).toMatchObject({ remaining: 0 });
  await backend.close();
});
