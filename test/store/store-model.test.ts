/**
 * A queue and a topic over a store that fails and pages that die, at any step: nothing that was acknowledged is lost,
 * nothing that was refused or settled comes back, and the order of sending is the order of delivery.
 */
import fc from "fast-check";
import { afterEach, beforeEach, test, vi } from "vitest";
import { History, step } from "./store-history.js";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"], now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

for (const seed of [1, 2, 3]) {
  test(`whatever fails, and whenever the page dies: nothing is lost, nothing happens twice (seed ${seed})`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: "max" }), async (steps) => {
        const history = new History();
        for (const each of steps) await history.perform(each);
        await history.expectTruth();
      }),
      { numRuns: 150, seed },
    );
  }, 120_000);
}
