// oxlint-disable vitest/no-conditional-expect -- what is expected depends on the history
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DueHeap } from "./due-heap.js";

interface Item {
  name: string;
  at: number;
  settled?: boolean;
}

const heapOf = (...items: Item[]): DueHeap<Item> => {
  const heap = new DueHeap<Item>((item, at) => !item.settled && item.at === at);
  for (const item of items) heap.add(item.at, item);
  return heap;
};

describe("DueHeap", () => {
  test("gives what is due, earliest first, and nothing before its time", () => {
    const heap = heapOf({ name: "c", at: 30 }, { name: "a", at: 10 }, { name: "b", at: 20 });
    expect(heap.dueAt()).toBe(10);
    expect(heap.take(9)).toBeUndefined();
    expect([heap.take(20)?.name, heap.take(20)?.name, heap.take(20)]).toEqual(["a", "b", undefined]);
    expect(heap.dueAt()).toBe(30);
    expect(heap.take(1000)?.name).toBe("c");
    expect(heap.dueAt()).toBe(Infinity);
  });

  test("ties go by order, by default that of adding", () => {
    const heap = heapOf({ name: "first", at: 1 }, { name: "second", at: 1 }, { name: "third", at: 1 });
    expect([heap.take(1)?.name, heap.take(1)?.name, heap.take(1)?.name]).toEqual(["first", "second", "third"]);
    for (const order of [2, 0, 1]) heap.add(1, { name: String(order), at: 1 }, order);
    expect([heap.take(1)?.name, heap.take(1)?.name, heap.take(1)?.name]).toEqual(["0", "1", "2"]);
  });

  test("passes over what was settled or moved", () => {
    const settled = { name: "settled", at: 1, settled: true };
    const moved = { name: "moved", at: 2 };
    const heap = heapOf(settled, moved, { name: "live", at: 4 });
    moved.at = 3;
    heap.add(3, moved);
    expect(heap.dueAt()).toBe(3);
    expect([...heap.live()].map(({ name }) => name).sort()).toEqual(["live", "moved"]);
    expect([heap.take(9)?.name, heap.take(9)?.name, heap.take(9)]).toEqual(["moved", "live", undefined]);
  });

  test("does not keep what is settled while it grows", () => {
    const heap = heapOf({ name: "live", at: 0 });
    for (let at = 1; at < 100_000; at++) {
      const item: Item = { name: "", at };
      heap.add(at, item);
      item.settled = true;
    }
    // Whatever is inside, finding the live ones must not cost as much as all that ever was.
    let looked = 0;
    const counted = new DueHeap<Item>((item) => {
      looked++;
      return !item.settled;
    });
    for (let at = 0; at < 10_000; at++) counted.add(at, { name: "", at, settled: true });
    looked = 0;
    expect([...counted.live()]).toEqual([]);
    expect(looked).toBeLessThan(200);
    expect([...heap.live()].map(({ name }) => name)).toEqual(["live"]);
  });

  test("does what a sorted array does", () => {
    const operation = fc.oneof(
      { weight: 3, arbitrary: fc.record({ do: fc.constant("add" as const), at: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("settle" as const), index: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("take" as const), now: fc.nat(50) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300, size: "max" }), (operations) => {
        const heap = heapOf();
        let array: Item[] = [];
        for (const each of operations) {
          if (each.do === "add") {
            const item = { name: "", at: each.at };
            heap.add(item.at, item);
            // A stable sort: what was added first stays first.
            array = [...array, item].sort((a, b) => a.at - b.at);
          } else if (each.do === "settle") {
            const item = array[each.index];
            if (item) item.settled = true;
            array = array.filter((other) => other !== item);
          } else {
            const expected = array[0] && array[0].at <= each.now ? array.shift() : undefined;
            expect(heap.take(each.now)).toBe(expected);
          }
          expect(heap.dueAt()).toBe(array[0]?.at ?? Infinity);
        }
      }),
      { numRuns: 200, seed: 7 },
    );
  });
});
