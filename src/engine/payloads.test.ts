import { describe, expect, test } from "vitest";
import { type PageRef, Payloads, fill, pageOf } from "./payloads.js";

/** A message as far as its payload goes. */
const stored = (data: string | PageRef, bytes = 10) => ({ data, bytes });
const shown = (ref: PageRef, page: readonly unknown[] | undefined, dataOnly = false) => {
  const into: { data: string; meta?: string } = { data: "" };
  return fill({ ref, into, dataOnly, isGone: () => false }, page) ? into : undefined;
};
const text = (chars: number): string => "x".repeat(chars);

function spilling(): Payloads {
  const payloads = new Payloads();
  payloads.budgetBytes = 0;
  return payloads;
}

describe("payloads of a space", () => {
  test("stay in memory as long as they fit into the budget", () => {
    const payloads = new Payloads();
    expect(payloads.spills(1e9)).toBe(false);
    payloads.budgetBytes = 25;
    expect(payloads.spills(25)).toBe(false);
    expect(payloads.spills(26)).toBe(true);
    payloads.add(stored("a"));
    payloads.add(stored("b"));
    expect(payloads.spills(5)).toBe(false);
    expect(payloads.spills(6)).toBe(true);
    payloads.remove(stored("a"));
    expect(payloads.spills(15)).toBe(false);
    expect(payloads.take()).toBeUndefined();
  });

  test("of one turn share pages, each written once; another turn has pages of its own", () => {
    const payloads = spilling();
    const refs = [payloads.write("1", undefined), payloads.write("2", '{"m":1}')];
    for (const ref of refs) payloads.add(stored(ref));
    const first = payloads.take()!;
    expect(first).toEqual({ put: [[1, ["1", ["2", '{"m":1}']]]], drop: [] });
    const [[, page]] = first.put as [(typeof first.put)[0]];
    expect(refs.map(pageOf)).toEqual([1, 1]);
    expect(refs.map((ref) => shown(ref, page))).toEqual([{ data: "1" }, { data: "2", meta: '{"m":1}' }]);
    expect(shown(refs[1]!, page, true)).toEqual({ data: "2" });
    const next = payloads.write("3", undefined);
    payloads.add(stored(next));
    expect(payloads.take()!.put).toEqual([[2, ["3"]]]);
  });

  test("fill a page up to its size, or to 256 of them; a large one has a page for itself", () => {
    const payloads = spilling();
    for (let i = 0; i < 300; i++) payloads.add(stored(payloads.write("1", undefined)));
    for (const chars of [10_000, 10_000, 20_000]) payloads.add(stored(payloads.write(text(chars), undefined)));
    const { put } = payloads.take()!;
    expect(put.map(([, entries]) => entries.length)).toEqual([256, 45, 1, 1]);
  });

  test("keep their page until the last of them has gone", () => {
    const payloads = spilling();
    const refs = [payloads.write("1", undefined), payloads.write("2", undefined)];
    for (const ref of refs) payloads.add(stored(ref));
    payloads.take();
    payloads.remove(stored(refs[0]!));
    expect(payloads.take()).toBeUndefined();
    payloads.remove(stored(refs[1]!));
    expect(payloads.take()).toEqual({ put: [], drop: [1] });
    expect(payloads.take()).toBeUndefined();
  });

  test("that came and went within the turn are neither written nor dropped", () => {
    const payloads = spilling();
    const ref = payloads.write("1", undefined);
    payloads.add(stored(ref));
    payloads.remove(stored(ref));
    expect(payloads.take()).toEqual({ put: [], drop: [] });
  });

  test("that moved to the dead letters keep their page", () => {
    const payloads = spilling();
    const ref = payloads.write("1", undefined);
    payloads.add(stored(ref));
    payloads.take();
    payloads.remove(stored(ref));
    payloads.add(stored(ref));
    expect(payloads.take()).toEqual({ put: [], drop: [] });
  });

  test("whose page a failed commit would have dropped need it again", () => {
    const payloads = spilling();
    const ref = payloads.write("1", undefined);
    payloads.add(stored(ref));
    payloads.take();
    payloads.remove(stored(ref));
    expect(payloads.take()!.drop).toEqual([1]);
    payloads.add(stored(ref));
    expect(payloads.take()).toBeUndefined();
    payloads.remove(stored(ref));
    expect(payloads.take()!.drop).toEqual([1]);
  });

  test("found in rows are counted, and new pages come after them", () => {
    const payloads = spilling();
    const old = 7 * 256 + 3;
    payloads.add(stored(old));
    expect(pageOf(payloads.write("1", undefined))).toBe(8);
    payloads.remove(stored(old));
    expect(payloads.take()!.drop).toEqual([7]);
  });

  test("are not what was written: no page, no such place, another shape", () => {
    expect(shown(256, undefined)).toBeUndefined();
    expect(shown(257, ["a"])).toBeUndefined();
    for (const wrong of [5, null, ["a"], ["a", 1], { data: "a" }]) expect(shown(256, [wrong])).toBeUndefined();
  });
});
