// oxlint-disable vitest/no-standalone-expect -- the history checks itself at every step
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Call } from "../../src/engine/call.js";
import type { Body, Durability, LockGrant, LockHolder, LockMode } from "../../src/protocol/commands.js";
import { EngineDriver, START } from "./engine-driver.js";
import { MutexModel, mutexNamed } from "./mutex-model.js";

const SECOND = 1000;
const RESOURCES = ["door", "window"];

type Command =
  | { do: "acquire"; resource: number; mode: LockMode; ttlMs: number; waitMs: number; owner: string }
  | { do: "release" | "again"; which: number }
  | { do: "extend"; which: number; ttlMs: number }
  | { do: "giveUp"; which: number }
  | { do: "gone"; owner: string }
  | { do: "advance"; ms: number };

const which = fc.nat(12);
const owner = fc.constantFrom("tab a", "tab b", "tab c");
const ttlMs = fc.constantFrom(1, 5 * SECOND, 10 * SECOND, 60 * SECOND);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("acquire" as const),
      resource: fc.nat(RESOURCES.length - 1),
      mode: fc.constantFrom("exclusive" as const, "shared" as const, "shared" as const),
      ttlMs,
      waitMs: fc.constantFrom(0, 3 * SECOND, 30 * SECOND, 30 * SECOND),
      owner,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom("release" as const, "release" as const, "again" as const), which }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("extend" as const), which, ttlMs }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("giveUp" as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("gone" as const), owner }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("advance" as const),
      ms: fc.constantFrom(0, 1, 3 * SECOND, 5 * SECOND, 40 * SECOND),
    }),
  },
);

/** A history on both; throws where they differ. */
class Comparison {
  readonly driver = new EngineDriver();
  readonly model = new MutexModel(START);
  readonly #calls: { call: Call; body: Body<"mutex.acquire"> }[] = [];
  readonly #tokens = new Map<string, number>();
  #highest = 0;

  constructor(durability: Durability) {
    this.driver.open(mutexNamed("m", durability));
  }

  perform(given: Command): void {
    const { driver, model } = this;
    switch (given.do) {
      case "acquire": {
        const { mode, waitMs } = given;
        const asked = {
          resource: RESOURCES[given.resource]!,
          value: `v${this.#calls.length}`,
          mode,
          ttlMs: given.ttlMs,
        };
        model.acquire({ ...asked, by: given.owner }, waitMs);
        const body = { ...asked, waitMs };
        this.#calls.push({ call: driver.run("m", "mutex.acquire", body, { owner: given.owner, waitMs }), body });
        break;
      }
      case "again":
        return this.#again(given.which);
      case "release": {
        const { resource, value } = this.#pick(given.which);
        model.release(resource, value);
        driver.run("m", "mutex.release", { resource, value });
        break;
      }
      case "extend": {
        const { resource, value } = this.#pick(given.which);
        const expected = model.extend(resource, value, given.ttlMs);
        expect(driver.ask("m", "mutex.extend", { resource, value, ttlMs: given.ttlMs })).toEqual({ value: expected });
        break;
      }
      case "giveUp": {
        const { call, body } = this.#calls.at(-1 - given.which) ?? {};
        if (!call || call.parkedIn === undefined) return;
        model.giveUp(body!.value);
        driver.space.cancel(call, driver.now, false);
        break;
      }
      case "gone":
        model.ownerGone(given.owner);
        for (const { call } of this.#calls)
          if (call.owner === given.owner) driver.space.cancel(call, driver.now, false);
        driver.space.release({ owner: given.owner, died: true }, driver.now);
        break;
      case "advance":
        model.advance(given.ms);
        driver.advance(given.ms);
    }
    this.compare();
  }

  compare(): void {
    const { driver, model } = this;
    const served = driver.takeSettled().flatMap(({ call, seen }) => {
      if (call.op !== "mutex.acquire") return [];
      const { value: grant } = seen as { value: LockGrant | null };
      const { value } = call.body as Body<"mutex.acquire">;
      if (grant) this.#note(value, grant.token);
      return [{ value, expiresAt: grant?.expiresAt ?? null }];
    });
    // Resources are served independently of each other.
    expect(served.sort(byValue)).toEqual(model.served.splice(0).sort(byValue));
    expect(driver.ask("m", "mutex.stats", {})).toEqual({ value: model.stats() });
    for (const resource of RESOURCES) {
      const { value } = driver.ask("m", "mutex.query", { resource }) as {
        value: { holders: LockHolder[]; waiting: number };
      };
      // Holders come in order of their grants.
      expect({ ...value, holders: value.holders.map((holder) => holder.value) }).toEqual(model.query(resource));
    }
    driver.takeSettled();
  }

  /** A call that is sent again after its answer was lost finds its lock. */
  #again(index: number): void {
    const { call, body } = this.#calls.at(-1 - index) ?? {};
    const lock = this.model.held.find(({ value }) => value === body?.value);
    if (!call || !body || !lock) return;
    const seen = this.driver.ask("m", "mutex.acquire", { ...body, waitMs: 0 }, call.owner);
    expect(seen).toEqual({ value: { token: this.#tokens.get(lock.value), expiresAt: lock.expiresAt } });
    this.driver.takeSettled();
  }

  #note(value: string, token: number): void {
    expect(Number.isSafeInteger(token)).toBe(true);
    expect(token).toBeGreaterThan(this.#highest);
    this.#highest = token;
    this.#tokens.set(value, token);
  }

  #pick(index: number): { resource: string; value: string } {
    return this.#calls.at(-1 - index)?.body ?? { resource: "door", value: "none" };
  }
}

function byValue(a: { value: string }, b: { value: string }): number {
  return Number(a.value.slice(1)) - Number(b.value.slice(1));
}

describe.each(["memory", "relaxed"] as const)("a mutex, %s", (durability) => {
  test("does what the model does", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60, size: "max" }), (commands) => {
        const comparison = new Comparison(durability);
        for (const given of commands) comparison.perform(given);
        // In the end nobody holds and nobody waits.
        comparison.perform({ do: "advance", ms: 1000 * SECOND });
        expect(comparison.model.stats()).toEqual({ held: 0, resources: 0, waiters: 0 });
      }),
      { numRuns: 500, seed: 5 },
    );
  }, 60_000);
});
