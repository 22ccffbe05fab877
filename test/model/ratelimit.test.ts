// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every step
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Durability, OpenBody, RateLimitResult, RatelimitConfig } from "../../src/protocol/commands.js";
import type { Json } from "../../src/protocol/json.js";
import { EngineDriver, type Seen } from "./engine-driver.js";
import { RatelimitModel } from "./ratelimit-model.js";
import { restored } from "./restored.js";

const WINDOW_MS = 10_000;
const IDENTIFIERS = ["ada", "bob", "a:b"];
const ALGORITHMS = ["sliding-window", "token-bucket"] as const;

type Command =
  | { do: "check"; who: number; cost: number }
  | { do: "reset"; who: number }
  | { do: "advance"; ms: number }
  | { do: "commit" | "undo" | "hub dies" };

const who = fc.nat(IDENTIFIERS.length - 1);

const command: fc.Arbitrary<Command> = fc.oneof(
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
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("commit" as const, "commit" as const, "undo" as const, "hub dies" as const),
    }),
  },
);

function named(config: Partial<RatelimitConfig>, durability: Durability): OpenBody {
  return {
    name: { prefix: "", kind: "ratelimit", tenantId: "default", id: "r" },
    config: { limit: 3, windowMs: WINDOW_MS, algorithm: "sliding-window", ...config },
    durability,
    seed: "GEN",
  };
}

/** A history on both, with what was committed beside. */
class Comparison {
  readonly driver = new EngineDriver();
  model: RatelimitModel;
  readonly rows = new Map<string, Json>();
  #committed: RatelimitModel;
  readonly #durable: boolean;

  constructor(config: Partial<RatelimitConfig>, durability: Durability) {
    const opening = named(config, durability);
    this.driver.open(opening);
    // Not at the beginning of a window.
    this.driver.now += 3337;
    this.model = new RatelimitModel(opening.config as RatelimitConfig);
    this.#committed = this.model.clone();
    this.#durable = durability !== "memory";
    this.driver.ask("r", "ratelimit.stats", {});
    this.#commit();
  }

  check(identifier: string, cost: number): void {
    const { driver, model } = this;
    const expected = model.check(identifier, cost, driver.now);
    const seen = driver.ask("r", "ratelimit.check", { identifier, cost });
    if (expected === undefined) expect(seen).toEqual({ error: { code: "RANGE" } });
    else expect(seen).toEqual({ value: expected });
  }

  perform(given: Command): void {
    const { driver } = this;
    switch (given.do) {
      case "check":
        return this.check(IDENTIFIERS[given.who]!, given.cost);
      case "reset":
        this.model.reset(IDENTIFIERS[given.who]!);
        driver.ask("r", "ratelimit.reset", { identifier: IDENTIFIERS[given.who]! });
        return;
      case "advance":
        driver.advance(given.ms);
        return;
      case "commit":
        return this.#commit();
      case "undo":
        if (!this.#durable) return;
        driver.space.undo([driver.space.take()]);
        this.model = this.#committed.clone();
        return;
      case "hub dies":
        if (!this.#durable) return;
        driver.space = restored(this.rows);
        this.model = this.#committed.clone();
    }
  }

  /** Looks at all, without a trace. */
  look(): void {
    const { changes } = this.driver.space.turn;
    const before = changes.length;
    for (const identifier of IDENTIFIERS) this.check(identifier, 0);
    // Time may bring something; to look does not.
    expect(changes.slice(before).filter(({ after }) => after !== undefined)).toEqual([]);
    this.driver.takeSettled();
  }

  #commit(): void {
    const { space } = this.driver;
    const turn = space.take();
    for (const { key, value, fresh } of turn.writes().values()) {
      expect(fresh).toBe(!this.rows.has(key));
      if (value === undefined) this.rows.delete(key);
      else this.rows.set(key, JSON.parse(JSON.stringify(value)) as Json);
    }
    space.committed = turn.id;
    this.#committed = this.model.clone();
  }
}

describe.each(ALGORITHMS)("a rate limit, %s", (algorithm) => {
  const limit = fc.constantFrom(1, 2.5, 3, 7, 10, 0.5);

  test.each(["memory", "relaxed"] as const)(
    "does what the model does, to the fraction: %s",
    (durability) => {
      fc.assert(
        fc.property(limit, fc.array(command, { maxLength: 80, size: "max" }), (of, commands) => {
          const comparison = new Comparison({ limit: of, algorithm }, durability);
          for (const given of commands) {
            comparison.perform(given);
            comparison.look();
          }
          // In the end nothing is left, neither in memory nor on disk.
          comparison.driver.advance(3 * WINDOW_MS);
          expect(comparison.driver.ask("r", "ratelimit.stats", {})).toEqual({ value: { identifiers: 0 } });
          comparison.perform({ do: "commit" });
          expect([...comparison.rows.keys()].filter((key) => key !== "0i1")).toEqual([]);
        }),
        { numRuns: 400, seed: 7 },
      );
    },
    60_000,
  );

  test("a clock that steps back gives no free calls, and lets calls pass again within two windows", () => {
    const steps = fc.array(fc.record({ ms: fc.integer({ min: -5 * WINDOW_MS, max: WINDOW_MS }), checks: fc.nat(4) }), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(fc.constantFrom(1, 3, 10), steps, (of, taken) => {
        const driver = new EngineDriver();
        driver.open(named({ limit: of, algorithm }, "memory"));
        let time = 0;
        const passed: number[] = [];
        const check = (): boolean => {
          const { value } = driver.ask("r", "ratelimit.check", { identifier: "ada", cost: 1 }) as {
            value: RateLimitResult;
          };
          if (!value.limited) passed.push(time);
          return !value.limited;
        };
        for (const { ms, checks } of taken) {
          driver.now += ms;
          // Time itself only goes on.
          time += Math.max(0, ms);
          for (let i = 0; i < checks; i++) check();
          // No more than twice the limit in any span of a window: what either algorithm promises with a sound clock.
          const recent = passed.filter((at) => at > time - WINDOW_MS);
          expect(recent.length).toBeLessThanOrEqual(2 * of);
        }
        for (let i = 0; i < 3 * of + 3; i++) check();
        driver.advance(3 * WINDOW_MS);
        expect(check()).toBe(true);
      }),
      { numRuns: 500, seed: 8 },
    );
  });

  test("a clock that steps back over the beginning of a window gives no free calls", () => {
    const driver = new EngineDriver();
    driver.open(named({ limit: 10, algorithm }, "memory"));
    const passed = (checks: number): number => {
      const seen = Array.from({ length: checks }, () =>
        driver.ask("r", "ratelimit.check", { identifier: "ada", cost: 1 }),
      );
      return (seen as { value: RateLimitResult }[]).filter(({ value }) => !value.limited).length;
    };
    const beginning = Math.ceil(driver.now / WINDOW_MS) * WINDOW_MS + WINDOW_MS;
    driver.now = beginning - 2;
    expect(passed(10)).toBe(10);
    for (const at of [1, -3, 2, -1, 3]) {
      driver.now = beginning + at;
      expect(passed(1)).toBe(0);
    }
  });

  test.each([
    ["no list", 7],
    ["null", [null, null, null, null]],
    ["negative", [0, -1, 0, 0]],
    ["text", [0, "0", 0, 0]],
    ["too short", [0]],
  ])("a stored counter that cannot be read fails closed, and not for ever: %s", (_, row) => {
    const rows = new Map<string, Json>([
      ["0i1", registrationOf(algorithm)],
      ["1cada", row as Json],
    ]);
    const driver = new EngineDriver();
    driver.space = restored(rows);
    driver.open(named({ algorithm }, "relaxed"));
    const ask = (cost: number): Seen => driver.ask("r", "ratelimit.check", { identifier: "ada", cost });
    expect(ask(1)).toMatchObject({ value: { limited: true, remaining: 0 } });
    expect(driver.ask("r", "ratelimit.check", { identifier: "bob", cost: 1 })).toMatchObject({
      value: { limited: false },
    });
    driver.advance(4 * WINDOW_MS);
    expect(ask(1)).toMatchObject({ value: { limited: false } });
  });
});

function registrationOf(algorithm: RatelimitConfig["algorithm"]): Json {
  const { name, config, durability, seed } = named({ algorithm }, "relaxed");
  return JSON.parse(JSON.stringify({ name, config, durability, seed })) as Json;
}
