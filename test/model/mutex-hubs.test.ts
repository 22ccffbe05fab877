/**
 * A mutex over hubs that die, appends that fail, tabs that die or freeze, answers that get lost and clocks that step:
 * the world checks itself after every step (mutex-world.ts).
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Durability, LockMode } from "../../src/protocol/commands.js";
import { EngineDriver } from "./engine-driver.js";
import { mutexNamed } from "./mutex-model.js";
import { MutexWorld } from "./mutex-world.js";
import { restored } from "./restored.js";

const SECOND = 1000;
const RESOURCES = ["door", "window"];

type Step =
  | { do: "acquire"; tab: number; resource: number; mode: LockMode; ttlMs: number; waitMs: number }
  | { do: "release"; tab: number; which: number }
  | { do: "extend"; tab: number; which: number; ttlMs: number }
  | { do: "giveUp"; which: number }
  | { do: "die" | "thaw"; tab: number }
  | { do: "advance"; ms: number }
  | { do: "step"; ms: number }
  | { do: "begin" | "commit" | "fail" }
  | { do: "hub dies"; frozen: number[]; lost: boolean };

const tab = fc.nat(2);
const which = fc.nat(4);
const ttlMs = fc.constantFrom(5 * SECOND, 20 * SECOND, 60 * SECOND);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("acquire" as const),
      tab,
      resource: fc.nat(RESOURCES.length - 1),
      mode: fc.constantFrom("exclusive" as const, "exclusive" as const, "shared" as const),
      ttlMs,
      waitMs: fc.constantFrom(0, 10 * SECOND, 100 * SECOND),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("release" as const), tab, which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("extend" as const), tab, which, ttlMs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("giveUp" as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("die" as const, "thaw" as const, "thaw" as const), tab }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(1, 4 * SECOND, 15 * SECOND) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("step" as const), ms: fc.constantFrom(-3600 * SECOND, 3600 * SECOND) }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constantFrom("begin" as const, "commit" as const, "commit" as const, "fail" as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("hub dies" as const),
      frozen: fc.array(tab, { maxLength: 1 }),
      lost: fc.constantFrom(false, false, true),
    }),
  },
);

function perform(world: MutexWorld, given: Step): void {
  const { tabs } = world;
  switch (given.do) {
    case "acquire":
      return world.acquire(tabs[given.tab]!, RESOURCES[given.resource]!, given.mode, given.ttlMs, given.waitMs);
    case "release":
    case "extend": {
      const of = tabs[given.tab]!;
      const lock = [...of.held.values()][given.which];
      if (!lock) return undefined;
      return given.do === "release" ? world.release(of, lock) : world.extend(of, lock, given.ttlMs);
    }
    case "giveUp":
      return world.giveUp(given.which);
    case "die":
      return world.die(tabs[given.tab]!);
    case "thaw":
      return world.thaw(tabs[given.tab]!);
    case "advance":
      return world.advance(given.ms);
    case "step":
      return world.step(given.ms);
    case "begin":
      return world.begin();
    case "commit":
    case "fail":
      world.begin();
      return world.finish(given.do === "commit");
    case "hub dies":
      return world.hubDies(
        given.frozen.map((i) => tabs[i]!),
        given.lost,
      );
  }
}

describe.each(["memory", "relaxed"] as const)("a mutex over hubs, %s", (durability) => {
  test("never shows two holders, nor a token twice, and nobody waits for what is free", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 70, size: "max" }), (steps) => {
        const world = new MutexWorld(durability);
        for (const given of steps) perform(world, given);
        // In the end it comes to rest.
        for (const each of world.tabs) world.thaw(each);
        world.finish(true);
        world.advance(1e6 * SECOND);
        for (let i = 0; i < 5; i++) perform(world, { do: "commit" });
        world.advance(1e6 * SECOND);
        perform(world, { do: "commit" });
        const [instance] = world.space.instances();
        expect(instance?.waiters ?? 0).toBe(0);
        expect([...(instance?.primitive.owners(instance.state) ?? [])]).toEqual([]);
        expect([...world.rows.keys()].filter((key) => !/^(0i1|1tmark)$/.test(key))).toEqual([]);
      }),
      { numRuns: 1000, seed: 6 },
    );
  }, 60_000);
});

describe("what is told to a hub", () => {
  const body = { resource: "door", ttlMs: 5 * SECOND, waitMs: 0 };
  const setUp = () => {
    const driver = new EngineDriver();
    driver.open(mutexNamed("m"));
    const grant = (value: string, mode: LockMode): { token: number } =>
      (driver.ask("m", "mutex.acquire", { ...body, value, mode }, "tab") as { value: { token: number } }).value;
    const tell = (value: string, mode: LockMode, token: number, by = "tab") =>
      driver.ask("m", "mutex.assert", { locks: [{ ...body, value, mode, token }] }, by);
    return { driver, grant, tell };
  };

  test("is refused when this hub gave it and took it back", () => {
    const { driver, grant, tell } = setUp();
    const { token } = grant("v", "shared");
    expect(tell("v", "shared", token)).toEqual({ value: [driver.now + 5 * SECOND] });
    driver.advance(5 * SECOND);
    expect(tell("v", "shared", token)).toEqual({ value: [null] });
  });

  test.each([
    ["exclusive", "shared", true],
    ["shared", "exclusive", true],
    ["exclusive", "exclusive", true],
    ["shared", "shared", false],
  ] as const)("late, after a lock that is over: %s, then %s", (granted, told, refused) => {
    const { driver, grant, tell } = setUp();
    const { token } = grant("v", granted);
    driver.ask("m", "mutex.release", { resource: "door", value: "v" });
    expect(tell("of an earlier hub", told, token - 1)).toEqual({ value: [refused ? null : driver.now + 5 * SECOND] });
  });

  test("late is refused when so many were granted meanwhile that they are not remembered", () => {
    const { driver, grant, tell } = setUp();
    const { token } = grant("v", "exclusive");
    driver.ask("m", "mutex.release", { resource: "door", value: "v" });
    for (let i = 0; i < 1000; i++) {
      const other = { resource: `other ${i}`, value: `v${i}` };
      driver.ask("m", "mutex.acquire", { ...body, ...other, mode: "exclusive" });
      driver.ask("m", "mutex.release", other);
    }
    expect(tell("of an earlier hub", "exclusive", token - 1)).toEqual({ value: [null] });
  });

  test("belongs to the tab that told it last", () => {
    const { driver, grant, tell } = setUp();
    const { token } = grant("v", "exclusive");
    tell("v", "exclusive", token, "tab, connected again");
    driver.space.release({ owner: "tab", died: true }, driver.now);
    expect(driver.ask("m", "mutex.stats", {})).toMatchObject({ value: { held: 1 } });
  });

  test("after the storage was lost raises the tokens of every later hub, also with a clock set back", () => {
    const { driver, tell } = setUp();
    const token = (driver.now + 3600 * SECOND) * 1000;
    expect(tell("v", "exclusive", token)).toEqual({ value: [driver.now + 5 * SECOND] });
    const rows = [...driver.space.take().writes().values()].map(({ key, value }) => [key, value!] as const);
    driver.space = restored(new Map(rows));
    const seen = driver.ask("m", "mutex.acquire", { ...body, value: "w", mode: "exclusive" });
    expect((seen as { value: { token: number } }).value.token).toBeGreaterThan(token);
  });

  test("is refused when its token is no number that could be", () => {
    const { tell } = setUp();
    for (const token of [Number.MAX_SAFE_INTEGER, Number.NaN, 1.5]) {
      expect(tell("v", "exclusive", token)).toEqual({ value: [null] });
    }
  });
});

describe("found", () => {
  const play = (durability: Durability, ...steps: Step[]): MutexWorld => {
    const world = new MutexWorld(durability);
    for (const given of steps) perform(world, given);
    return world;
  };
  const acquire = (resource: number, waitMs: number, of = 0, length = 5000): Step => {
    return { do: "acquire", tab: of, resource, mode: "exclusive", ttlMs: length, waitMs };
  };

  test("after the storage was lost, a token was given again that a frozen tab held", () => {
    const world = play(
      "memory",
      acquire(1, 0),
      acquire(0, 0, 2),
      { do: "commit" },
      { do: "hub dies", frozen: [2], lost: true },
      acquire(0, 0),
      { do: "commit" },
    );
    expect(world.tabs[0]!.held.size).toBe(2);
  });

  test("after a failed commit, one whose time was up overtook the one before it", () => {
    play(
      "relaxed",
      acquire(0, 0, 0, 20_000),
      { do: "commit" },
      acquire(0, 100_000),
      acquire(0, 10_000),
      { do: "advance", ms: 4000 },
      acquire(1, 0),
      { do: "advance", ms: 19_000 },
      { do: "fail" },
      { do: "begin" },
      { do: "commit" },
    );
  });

  test("after a failed commit, one that would not wait found others waiting for what it had held", () => {
    play("memory", acquire(1, 0), acquire(1, 100_000), { do: "fail" }, { do: "commit" });
  });
});
