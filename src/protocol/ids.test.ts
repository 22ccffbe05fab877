import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { newId, randomText } from "./ids.js";

describe("ids", () => {
  beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2100, 0, 1) }));
  afterEach(() => void vi.useRealTimers());

  test("are 26 characters of Crockford's base 32", () => {
    expect(newId()).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  });

  test("are unique and in order, within a millisecond and over many", () => {
    const ids: string[] = [];
    for (let i = 0; i < 10_000; i++) {
      if (i % 100 === 0) vi.advanceTimersByTime(i % 300);
      ids.push(newId());
    }
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual(ids);
  });

  test("stay in order when the clock steps back", () => {
    const before = newId();
    vi.setSystemTime(Date.UTC(1999, 0, 1));
    const after = newId();
    vi.setSystemTime(Date.UTC(2100, 0, 2));
    expect([before, after, newId()].sort()).toEqual([before, after, expect.any(String)]);
    expect(after > before).toBe(true);
  });

  test("of one page share their random part", () => {
    expect(newId().slice(10, 20)).toBe(newId().slice(10, 20));
  });

  test("random text has the length asked for and does not repeat", () => {
    const texts = Array.from({ length: 1000 }, () => randomText(16));
    expect(texts.every((text) => /^[0-9A-HJKMNP-TV-Z]{16}$/.test(text))).toBe(true);
    expect(new Set(texts).size).toBe(1000);
  });
});
