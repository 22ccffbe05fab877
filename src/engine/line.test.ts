// oxlint-disable vitest/no-conditional-expect -- what is expected depends on the history
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Line } from "./line.js";

interface Item {
  order: number;
}

const line = (...orders: number[]): Line<Item> => {
  const made = new Line<Item>(({ order }) => order);
  for (const order of orders) made.insert({ order });
  return made;
};
const ordersOf = (of: Line<Item>): number[] => [...of].map(({ order }) => order);

describe("Line", () => {
  test("keeps its items sorted, wherever they are inserted", () => {
    const sorted = line(5, 1, 3, 9, 2);
    expect(ordersOf(sorted)).toEqual([1, 2, 3, 5, 9]);
    expect(sorted.first()).toEqual({ order: 1 });
    expect(sorted.last()).toEqual({ order: 9 });
    expect(sorted.at(2)).toEqual({ order: 3 });
    expect(sorted.at(-1)).toBeUndefined();
    expect(sorted.at(5)).toBeUndefined();
  });

  test("is empty at first, and again", () => {
    const empty = line();
    expect([empty.length, empty.first(), empty.last(), empty.shift()]).toEqual([0, undefined, undefined, undefined]);
    empty.insert({ order: 1 });
    expect(empty.shift()).toEqual({ order: 1 });
    expect(empty.length).toBe(0);
    expect(empty.first()).toBeUndefined();
  });

  test("search finds the first item that is not below", () => {
    const sorted = line(10, 20, 20, 30);
    expect([5, 10, 15, 20, 30, 31].map((order) => sorted.search(order))).toEqual([0, 0, 1, 1, 3, 4]);
  });

  test("removes that very item, not one like it", () => {
    const twin = { order: 1 };
    const sorted = line(0, 1, 2);
    sorted.insert(twin);
    expect(sorted.remove({ order: 1 })).toBe(false);
    expect(sorted.remove(twin)).toBe(true);
    expect(sorted.remove(twin)).toBe(false);
    expect(ordersOf(sorted)).toEqual([0, 1, 2]);
  });

  test("does what a sorted array does", () => {
    const operation = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant("insert" as const), order: fc.nat(40) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("shift" as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("remove" as const), index: fc.nat(20) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300, size: "max" }), (operations) => {
        const tested = line();
        let array: Item[] = [];
        for (const each of operations) {
          if (each.do === "insert") {
            const item = { order: each.order };
            // Which of equals comes first does not matter: in the engine there are none.
            if (array.some(({ order }) => order === item.order)) continue;
            tested.insert(item);
            array = [...array, item].sort((a, b) => a.order - b.order);
          } else if (each.do === "shift") expect(tested.shift()).toBe(array.shift());
          else {
            const item = array[each.index];
            if (item === undefined) continue;
            expect(tested.remove(item)).toBe(true);
            array = array.filter((other) => other !== item);
          }
          expect([...tested]).toEqual(array);
          expect(tested.length).toBe(array.length);
        }
      }),
      { numRuns: 200, seed: 6 },
    );
  });

  test("grows and shrinks many times over", () => {
    const long = line();
    for (let round = 0; round < 3; round++) {
      for (let order = 0; order < 1000; order++) long.insert({ order });
      for (let order = 0; order < 1000; order++) expect(long.shift()?.order).toBe(order);
    }
    expect(long.length).toBe(0);
  });
});
