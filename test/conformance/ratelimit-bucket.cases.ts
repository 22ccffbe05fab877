import { assert } from "chai";
import type { RateLimit } from "../../src/memory.js";
import { type World, cases } from "./case.js";
import { rejectsWith, rejectsWithRange } from "./expectations.js";

/** Long, so that the time that a case takes is nothing beside it: one call comes back every 100 s. */
const WINDOW_SECS = 1000;
const EACH_MS = 100_000;
const SLACK_MS = 10_000;

function bucket(world: World, limit = 10): RateLimit {
  return world.ratelimit({ id: world.id(), limit, windowSecs: WINDOW_SECS, algorithm: "token-bucket" });
}

/** algorithm: "token-bucket". */
export const ratelimitBucket = cases("ratelimit", {
  "token bucket: as many calls as the limit pass at once": async (world) => {
    const limit = bucket(world, 3);
    const results = [];
    for (let i = 0; i < 5; i++) results.push(await limit.check("ada"));
    assert.deepEqual(
      results.map(({ limited, remaining }) => [limited, remaining]),
      [
        [false, 2],
        [false, 1],
        [false, 0],
        [true, 0],
        [true, 0],
      ],
    );
  },

  "token bucket: calls come back evenly, not all at the end of a window": async (world) => {
    const limit = bucket(world);
    await limit.check("ada", { cost: 10 });
    await world.advance(EACH_MS + SLACK_MS);
    assert.include(await limit.check("ada"), { limited: false, remaining: 0 });
    assert.isTrue((await limit.check("ada")).limited);
    await world.advance(EACH_MS * 3);
    assert.include(await limit.peek("ada"), { remaining: 3 });
  },

  "token bucket: it never holds more than the limit": async (world) => {
    const limit = bucket(world);
    await limit.check("ada");
    await world.advance(EACH_MS * 1000);
    assert.include(await limit.peek("ada"), { remaining: 10 });
  },

  "token bucket: limited checks take nothing": async (world) => {
    const limit = bucket(world);
    await limit.check("ada", { cost: 10 });
    for (let i = 0; i < 20; i++) assert.isTrue((await limit.check("ada")).limited);
    await world.advance(EACH_MS + SLACK_MS);
    assert.isFalse((await limit.check("ada")).limited);
  },

  "token bucket: a check that is limited for its cost leaves room for a smaller one": async (world) => {
    const limit = bucket(world);
    await limit.check("ada", { cost: 8 });
    assert.include(await limit.check("ada", { cost: 3 }), { limited: true, remaining: 2 });
    assert.include(await limit.check("ada", { cost: 2 }), { limited: false, remaining: 0 });
  },

  "token bucket: resetIn is the time until this cost would pass": async (world) => {
    const limit = bucket(world);
    assert.strictEqual((await limit.check("ada", { cost: 4 })).resetIn, 0);
    const limited = await limit.check("ada", { cost: 9 });
    assert.isTrue(limited.limited);
    assert.approximately(limited.resetIn, EACH_MS * 3, SLACK_MS);
    assert.isTrue(Number.isSafeInteger(limited.resetIn));
    await world.advance(limited.resetIn);
    const passed = await limit.check("ada", { cost: 9 });
    assert.isFalse(passed.limited);
    // Until it would pass again.
    assert.approximately(passed.resetIn, EACH_MS * 9, SLACK_MS);
  },

  "token bucket: a cost beyond the limit is a RangeError, for it could never pass": async (world) => {
    const limit = bucket(world);
    await rejectsWithRange(limit.check("ada", { cost: 11 }));
    assert.include(await limit.check("ada", { cost: 10 }), { limited: false });
  },

  "token bucket: peek takes nothing, and says when a call would pass": async (world) => {
    const limit = bucket(world);
    await limit.check("ada", { cost: 10 });
    for (let i = 0; i < 3; i++) {
      const { remaining, resetIn } = await limit.peek("ada");
      assert.strictEqual(remaining, 0);
      assert.approximately(resetIn, EACH_MS, SLACK_MS);
    }
    await world.advance(EACH_MS + SLACK_MS);
    assert.include(await limit.peek("ada"), { limited: false, remaining: 1, resetIn: 0 });
  },

  "token bucket: checkOrThrow, reset and forgetting work as with the window": async (world) => {
    const limit = bucket(world, 1);
    await limit.checkOrThrow("ada");
    await rejectsWith(limit.checkOrThrow("ada"), "RATE_LIMITED");
    await limit.reset("ada");
    await limit.checkOrThrow("ada");
    await world.advance(WINDOW_SECS * 2000);
    assert.strictEqual((await limit.stats()).identifiers, 0);
  },

  "token bucket: a clock that steps back fills nothing, and it drains from then on": async (world) => {
    const apart = world.fresh();
    const limit = bucket(apart);
    await limit.check("ada", { cost: 10 });
    await apart.advance(-3_600_000);
    assert.isTrue((await limit.check("ada")).limited);
    await apart.advance(EACH_MS + SLACK_MS);
    assert.isFalse((await limit.check("ada")).limited);
    assert.isTrue((await limit.check("ada")).limited);
  },
});
