import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KeyIndex, compareCodePoints } from "./key-index.js";

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** As an array that is sorted each time. */
class Model {
  keys = new Set<string>();

  page(prefix: string, limit: number, afterKey?: string): string[] {
    return [...this.keys]
      .filter((key) => key.startsWith(prefix) && (afterKey === undefined || byBytes(key, afterKey) > 0))
      .sort(byBytes)
      .slice(0, limit);
  }
}

describe("KeyIndex", () => {
  test("compares as UTF-8 does", () => {
    // On both sides of the surrogates.
    const unit = fc.constantFrom("a", "b", "/", "ä", "\ud7ff", "\ue000", "\uff5e", "\uffff", "\u{10000}", "😀");
    const text = fc.string({ unit, maxLength: 4 });
    fc.assert(
      fc.property(text, text, (x, y) => {
        expect(Math.sign(compareCodePoints(x, y))).toBe(Math.sign(byBytes(x, y)));
      }),
      { seed: 1, numRuns: 500 },
    );
    expect(compareCodePoints("\uff5e", "😀")).toBeLessThan(0);
  });

  test("is a sorted array, over many blocks", () => {
    // Orders in which keys come: growing, falling, all over the place.
    const orders = [(i: number) => i, (i: number) => 3000 - i, (i: number) => (i * 7919) % 3000];
    for (const order of orders) {
      const index = new KeyIndex<{ key: string }>();
      const model = new Model();
      const keyAt = (i: number): string => `${order(i) % 3 ? "k" : "l"}/${order(i)}`;
      for (let i = 0; i < 3000; i++) {
        index.add({ key: keyAt(i) });
        model.keys.add(keyAt(i));
        if (i % 2 === 0) continue;
        const gone = keyAt(i >> 1);
        index.remove(gone);
        model.keys.delete(gone);
        if (i % 101 > 0) continue;
        for (const afterKey of [undefined, gone, keyAt(i), "k/", "z"]) {
          expect(index.page("k/", 10, afterKey).map(({ key }) => key)).toEqual(model.page("k/", 10, afterKey));
        }
      }
      expect(index.size).toBe(model.keys.size);
      expect(index.page("", Infinity).map(({ key }) => key)).toEqual(model.page("", Infinity));
      for (const key of model.keys) index.remove(key);
      expect(index.size).toBe(0);
      expect(index.page("", 10)).toEqual([]);
    }
  });

  test("random histories", () => {
    const key = fc.constantFrom("a", "a/", "a/b", "b", "\uff5e", "😀", "😀/a", "0");
    const step = fc.record({
      key,
      remove: fc.boolean(),
      prefix: fc.constantFrom("", "a", "a/", "😀"),
      from: fc.option(key),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const index = new KeyIndex<{ key: string }>();
        const model = new Model();
        for (const given of steps) {
          if (given.remove && model.keys.delete(given.key)) index.remove(given.key);
          else if (!given.remove && !model.keys.has(given.key)) {
            model.keys.add(given.key);
            index.add({ key: given.key });
          }
          const from = given.from?.startsWith(given.prefix) ? given.from : undefined;
          expect(index.page(given.prefix, 3, from).map((item) => item.key)).toEqual(model.page(given.prefix, 3, from));
        }
      }),
      { seed: 2, numRuns: 500 },
    );
  });
});
