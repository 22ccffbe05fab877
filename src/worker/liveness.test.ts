import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Liveness, createLiveness } from "./liveness.js";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("navigator", {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function watching(...tabs: string[]): { liveness: Liveness; dead: string[] } {
  const dead: string[] = [];
  const liveness = createLiveness("space", (tab) => dead.push(tab));
  for (const tab of tabs) liveness.watch(tab);
  return { liveness, dead };
}

describe("where there are no Web Locks", () => {
  test("a tab is dead when nothing was heard of it for 15 s, and not before", () => {
    const { liveness, dead } = watching("a", "b");
    vi.advanceTimersByTime(8000);
    liveness.beat("b");
    vi.advanceTimersByTime(6999);
    expect(dead).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(dead).toEqual(["a"]);
    vi.advanceTimersByTime(7999);
    expect(dead).toEqual(["a"]);
    vi.advanceTimersByTime(1);
    expect(dead).toEqual(["a", "b"]);
  });

  test("a tab that is heard of lives as long as it is", () => {
    const { liveness, dead } = watching("a");
    for (let i = 0; i < 20; i++) {
      vi.advanceTimersByTime(10_000);
      liveness.beat("a");
    }
    expect(dead).toEqual([]);
  });

  test("a tab that said goodbye is told of no more, and a dead one once", () => {
    const { liveness, dead } = watching("a", "b");
    liveness.unwatch("a");
    vi.advanceTimersByTime(60_000);
    liveness.beat("b");
    expect(dead).toEqual(["b"]);
  });

  test("a tab that is watched later has its own 15 s", () => {
    const { liveness, dead } = watching("a");
    vi.advanceTimersByTime(10_000);
    liveness.watch("b");
    vi.advanceTimersByTime(14_999);
    expect(dead).toEqual(["a"]);
    vi.advanceTimersByTime(1);
    expect(dead).toEqual(["a", "b"]);
  });

  test("nothing is left running when nobody is watched", () => {
    const { liveness } = watching("a", "b");
    vi.advanceTimersByTime(60_000);
    expect(vi.getTimerCount()).toBe(0);
    liveness.watch("c");
    liveness.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
