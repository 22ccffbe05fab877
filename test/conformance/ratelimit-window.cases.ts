import { assert } from "chai";
import type { RateLimit } from "../../src/memory.js";
import { ONE_TAB, type World, cases } from "./case.js";
import { rejectsWith, rejectsWithRange, throwsRange, throwsWith } from "./expectations.js";

/** Long, so that the time that a case takes is nothing beside it. */
const WINDOW_SECS = 1000;
const WINDOW_MS = WINDOW_SECS * 1000;

/** Stands a little behind the beginning of a window. */
async function beginWindow(world: World, limit: RateLimit): Promise<void> {
  await world.advance((await limit.peek("none")).resetIn);
}

async function checks(limit: RateLimit, identifier: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await limit.check(identifier);
}

export const ratelimitWindow = cases("ratelimit", {
  "calls pass up to the limit, and are limited beyond it": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 3, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    const results = [];
    for (let i = 0; i < 5; i++) results.push(await limit.check("ada"));
    assert.deepEqual(
      results.map(({ limited }) => limited),
      [false, false, false, true, true],
    );
    // The call itself is counted already.
    assert.deepEqual(
      results.map(({ remaining }) => remaining),
      [2, 1, 0, 0, 0],
    );
  },

  "the window is one second by default": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 1 });
    const { resetIn } = await limit.check("ada");
    assert.isAtLeast(resetIn, 1);
    assert.isAtMost(resetIn, 1000);
  },

  "resetIn is the time to the end of the current window, 1 to its length": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    const first = await limit.check("ada");
    assert.isAtMost(first.resetIn, WINDOW_MS);
    assert.approximately(first.resetIn, WINDOW_MS, 10_000);
    await world.advance(WINDOW_MS / 4);
    const limited = await limit.check("ada");
    assert.isTrue(limited.limited);
    assert.approximately(limited.resetIn, (WINDOW_MS * 3) / 4, 10_000);
    assert.isTrue(Number.isSafeInteger(limited.resetIn));
  },

  "windows are aligned to the epoch": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await world.advance(WINDOW_MS / 2);
    // A lock tells the time that the hub has.
    const lock = await world.mutex({ id: world.id() }).acquire("clock", 1000);
    const now = lock!.expiration - 1000;
    const { resetIn } = await limit.peek("ada");
    assert.approximately(resetIn, WINDOW_MS - (now % WINDOW_MS), 10_000);
  },

  "what the window before had fades as the current one passes": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 100, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await limit.check("ada", { cost: 100 });
    await world.advance(WINDOW_MS);
    // 100 × (1 − 0.255) + 1 = 75.5
    await world.advance(WINDOW_MS * 0.255);
    assert.include(await limit.check("ada"), { limited: false, remaining: 24 });
    // 100 × (1 − 0.755) + 2 = 26.5
    await world.advance(WINDOW_MS * 0.5);
    assert.include(await limit.check("ada"), { limited: false, remaining: 73 });
  },

  "limited checks count, too: who keeps hammering stays limited longer": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 10, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await checks(limit, "patient", 10);
    await checks(limit, "hammering", 40);
    await world.advance(WINDOW_MS * 1.5);
    assert.isFalse((await limit.check("patient")).limited);
    // 40 × 0.5 + 1 > 10
    assert.isTrue((await limit.check("hammering")).limited);
  },

  "fault of the reference: a sum of 3.9 against a limit of 3 is limited, for fractions are kept": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 3, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await checks(limit, "ada", 3);
    await world.advance(WINDOW_MS + 33_300);
    // 3 × 0.9667 + 1 = 3.9
    assert.include(await limit.check("ada"), { limited: true, remaining: 0 });
  },

  "a limit may be a fraction": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 2.5, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    assert.include(await limit.check("ada"), { limited: false, remaining: 1 });
    assert.include(await limit.check("ada"), { limited: false, remaining: 0 });
    assert.include(await limit.check("ada"), { limited: true, remaining: 0 });
  },

  "a cost counts as that many calls": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 10, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    assert.include(await limit.check("ada", { cost: 7 }), { limited: false, remaining: 3 });
    assert.include(await limit.check("ada", { cost: 4 }), { limited: true, remaining: 0 });
    assert.include(await limit.checkOrThrow("bob", { cost: 10 }), { limited: false, remaining: 0 });
  },

  "a cost that is no whole number is refused before anything is counted": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 10, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    for (const cost of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) await rejectsWithRange(limit.check("ada", { cost }));
    assert.include(await limit.peek("ada"), { remaining: 10 });
  },

  "peek looks and counts nothing, and so does a cost of 0": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 2, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await limit.check("ada");
    for (let i = 0; i < 5; i++) assert.include(await limit.peek("ada"), { limited: false, remaining: 1 });
    assert.include(await limit.check("ada", { cost: 0 }), { limited: false, remaining: 1 });
    await checks(limit, "ada", 2);
    assert.include(await limit.peek("ada"), { limited: true, remaining: 0 });
    assert.strictEqual((await limit.stats()).identifiers, 1);
  },

  "reset forgets what was counted": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 2, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await checks(limit, "ada", 3);
    await checks(limit, "bob", 3);
    assert.isUndefined(await limit.reset("ada"));
    assert.include(await limit.check("ada"), { limited: false, remaining: 1 });
    assert.isTrue((await limit.check("bob")).limited);
    await limit.reset("nobody");
  },

  "checkOrThrow resolves as check does, and rejects with RateLimitError when limited": async (world) => {
    const { RateLimitError } = world.entry;
    const limit = world.ratelimit({ id: world.id(), limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    const passed = await limit.checkOrThrow("ada");
    assert.include(passed, { limited: false, remaining: 0 });
    assert.approximately(passed.resetIn, WINDOW_MS, 10_000);
    const error = await rejectsWith<InstanceType<typeof RateLimitError>>(limit.checkOrThrow("ada"), "RATE_LIMITED");
    assert.instanceOf(error, RateLimitError);
    assert.include(error, { name: "RateLimitError", message: "Rate limit exceeded", remaining: 0, retryable: true });
    assert.approximately(error.resetIn, WINDOW_MS, 10_000);
  },

  "identifiers are apart": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    for (const identifier of ["ada", "bob", "", "ADA", "ada ", "__proto__", "ä", "🦊"]) {
      assert.isFalse((await limit.check(identifier)).limited, identifier);
    }
    assert.isTrue((await limit.check("ada")).limited);
  },

  "prefix, id and identifier with colons do not collide": async (world) => {
    const id = world.id();
    const first = world.ratelimit({ prefix: "p", id: `${id}:a`, limit: 1, windowSecs: WINDOW_SECS });
    const second = world.ratelimit({ prefix: "p", id, limit: 1, windowSecs: WINDOW_SECS });
    const third = world.ratelimit({ prefix: `p:${id}`, id: "a", limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, first);
    assert.isFalse((await first.check("b")).limited);
    assert.isFalse((await second.check("a:b")).limited);
    assert.isFalse((await third.check("b")).limited);
    assert.isFalse((await second.check("a")).limited);
  },

  "identifiers of any length are apart": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    for (const length of [127, 128, 129, 5000, 65_535]) {
      for (const end of ["a", "b"]) {
        const identifier = "x".repeat(length) + end;
        assert.isFalse((await limit.check(identifier)).limited);
        assert.isTrue((await limit.check(identifier)).limited);
      }
    }
  },

  "an identifier that is no text, or longer than 65,536 characters, is refused": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 1 });
    await rejectsWith(limit.check("x".repeat(65_537)), "VALIDATION");
    for (const wrong of [undefined, null, 7, {}]) {
      await rejectsWith(limit.check(wrong as unknown as string), "VALIDATION");
      await rejectsWith(limit.peek(wrong as unknown as string), "VALIDATION");
      await rejectsWith(limit.reset(wrong as unknown as string), "VALIDATION");
    }
  },

  "fault of the reference: handles with the same id share counters": async (world) => {
    const id = world.id();
    const one = world.ratelimit({ id, limit: 2, windowSecs: WINDOW_SECS });
    const other = world.ratelimit({ id, limit: 2, windowSecs: WINDOW_SECS });
    await beginWindow(world, one);
    await one.check("ada");
    assert.include(await other.check("ada"), { remaining: 0 });
    assert.isTrue((await one.check("ada")).limited);
    // Another prefix, id or tenant is another limit.
    for (const name of [{ prefix: "p" }, { id: `${id}2` }, { tenantId: "t" }]) {
      assert.isFalse((await world.ratelimit({ id, limit: 2, windowSecs: WINDOW_SECS, ...name }).check("ada")).limited);
    }
  },

  "tabs share counters": {
    skip: ONE_TAB,
    async run(world) {
      const id = world.id();
      const here = world.ratelimit({ id, limit: 2, windowSecs: WINDOW_SECS });
      const there = world.tab().ratelimit({ id, limit: 2, windowSecs: WINDOW_SECS });
      await beginWindow(world, here);
      await here.check("ada");
      assert.include(await there.check("ada"), { limited: false, remaining: 0 });
      assert.isTrue((await here.check("ada")).limited);
    },
  },

  "of many checks at once as many pass as the limit says": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 7, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    const results = await Promise.all(Array.from({ length: 50 }, () => limit.check("ada")));
    assert.strictEqual(results.filter(({ limited }) => !limited).length, 7);
  },

  "limit and windowSecs out of range are refused when the handle is made": async (world) => {
    for (const limit of [0, -1, Number.NaN, Infinity, "5" as unknown as number]) {
      throwsRange(() => world.ratelimit({ id: "a", limit }));
    }
    for (const windowSecs of [0, -1, 0.3, Number.NaN, Infinity, 2 ** 53, Math.ceil(Number.MAX_SAFE_INTEGER / 2000)]) {
      throwsRange(() => world.ratelimit({ id: "a", limit: 1, windowSecs }));
    }
    throwsWith(() => world.ratelimit({ id: "", limit: 1 }), "VALIDATION");
    throwsWith(() => world.ratelimit({ id: "a", limit: 1, algorithm: "leaky" as "token-bucket" }), "VALIDATION");
    const longest = Math.floor(Number.MAX_SAFE_INTEGER / 2000);
    const limit = world.ratelimit({ id: world.id(), limit: 1, windowSecs: longest });
    assert.isFalse((await limit.check("ada")).limited);
    assert.include(await limit.check("ada"), { limited: true, remaining: 0 });
  },

  "counters survive windows longer than 2^31 − 1 ms": async (world) => {
    const DAY = 24 * 3_600_000;
    const limit = world.ratelimit({ id: world.id(), limit: 10, windowSecs: (60 * DAY) / 1000 });
    await beginWindow(world, limit);
    await limit.check("ada", { cost: 10 });
    await world.advance(50 * DAY);
    assert.include(await limit.peek("ada"), { remaining: 0 });
    // 10 × (1 − 0.55) = 4.5
    await world.advance(43 * DAY);
    assert.include(await limit.peek("ada"), { remaining: 5 });
    assert.strictEqual((await limit.stats()).identifiers, 1);
  },

  "a counter is forgotten when the window after its last change is over": async (world) => {
    const limit = world.ratelimit({ id: world.id(), limit: 10, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    for (let i = 0; i < 20; i++) await limit.check(`user ${i}`);
    await world.advance(WINDOW_MS);
    await limit.check("user 0");
    assert.strictEqual((await limit.stats()).identifiers, 20);
    await world.advance(WINDOW_MS);
    assert.strictEqual((await limit.stats()).identifiers, 1);
    await world.advance(WINDOW_MS);
    assert.strictEqual((await limit.stats()).identifiers, 0);
    assert.include(await limit.check("user 0"), { remaining: 9 });
  },

  "a clock that steps back forgives nothing, and shuts nobody out for longer than two windows": async (world) => {
    const apart = world.fresh();
    const limit = apart.ratelimit({ id: apart.id(), limit: 3, windowSecs: WINDOW_SECS });
    await beginWindow(apart, limit);
    await checks(limit, "ada", 3);
    await apart.advance(-5 * WINDOW_MS);
    assert.include(await limit.check("ada"), { limited: true, remaining: 0 });
    await apart.advance(3 * WINDOW_MS);
    assert.include(await limit.check("ada"), { limited: false, remaining: 2 });
  },

  "the limit can be changed by a later handle, for all": async (world) => {
    const id = world.id();
    const first = world.ratelimit({ id, limit: 1, windowSecs: WINDOW_SECS });
    await beginWindow(world, first);
    await first.check("ada");
    const second = world.ratelimit({ id, limit: 5, windowSecs: WINDOW_SECS });
    assert.include(await second.check("ada"), { limited: false, remaining: 3 });
    assert.include(await first.check("ada"), { limited: false, remaining: 2 });
  },

  "another window or algorithm is a CONFLICT": async (world) => {
    const id = world.id();
    const limit = world.ratelimit({ id, limit: 3, windowSecs: WINDOW_SECS });
    await limit.check("ada");
    await rejectsWith(world.ratelimit({ id, limit: 3, windowSecs: 1 }).check("ada"), "CONFLICT");
    await rejectsWith(
      world.ratelimit({ id, limit: 3, windowSecs: WINDOW_SECS, algorithm: "token-bucket" }).check("ada"),
      "CONFLICT",
    );
    assert.include(await limit.peek("ada"), { remaining: 2 });
  },

  "calls on a closed handle reject with CLOSED, other handles go on": async (world) => {
    const id = world.id();
    const limit = world.ratelimit({ id, limit: 3, windowSecs: WINDOW_SECS });
    const other = world.ratelimit({ id, limit: 3, windowSecs: WINDOW_SECS });
    await beginWindow(world, limit);
    await limit.check("ada");
    await limit.close();
    await limit.close();
    await limit[Symbol.asyncDispose]();
    for (const call of [
      () => limit.check("ada"),
      () => limit.checkOrThrow("ada"),
      () => limit.peek("ada"),
      () => limit.reset("ada"),
      () => limit.stats(),
    ]) {
      await rejectsWith(call(), "CLOSED");
    }
    assert.include(await other.check("ada"), { remaining: 1 });
  },

  "calls on a closed backend reject with CLOSED": async (world) => {
    const apart = world.fresh();
    const limit = apart.ratelimit({ id: apart.id(), limit: 3 });
    await limit.check("ada");
    await apart.backend.close();
    await rejectsWith(limit.check("ada"), "CLOSED");
  },
});
